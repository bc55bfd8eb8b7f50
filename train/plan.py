"""Which samples form which optimizer step: a pure function of (samples, seed, step), known before any picture is read.

Every task of every stage has its own endless walk over its samples (`train.walk`). A step takes its share of every task's walk
from the position that follows from the step number alone, and spreads the picks over logical slots by their operations, cut
into packs by their tokens (`train.balance`). Slots are configuration, never the number of workers, so the same global batch
follows on any number of them, and resuming is going on at a step number.

n samples
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from itertools import accumulate
from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Gt, MinLen
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, model_validator

from curation.tables import LATENT, LatentColumn
from curation.tasks import TASKS, Task
from models.cost import TRAINING_PASSES, Cost
from train.balance import Limits, place
from train.walk import Shuffle, Stretch, Walk, hashed

Positive = Annotated[int, Gt(0)]


class StageConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A part of the training with one mixture of samples."""

    name: Annotated[str, MinLen(1)]
    """Keys its walks; no two stages of a plan share it."""
    num_steps: Positive
    """Optimizer steps."""
    task_shares: dict[Task, Annotated[float, Gt(0.0)]]
    """Share of a step's samples per task; they add up to 1."""
    target_tokens: tuple[Positive, Positive] | None = None
    """Fewest and most noisy tokens of a sample, both included: a tier of resolutions. None for all."""
    latents: LatentColumn = LATENT
    """Column of latents that it learns from, one resolution of every picture (`column` of `seedbed encode`)."""
    rate: Annotated[float, Gt(0.0)] = 1.0
    """Factor on learning rates."""
    frozen: tuple[str, ...] = ()
    """Prefixes of the names of parameters that stand still."""

    @model_validator(mode="after")
    def _is_consistent(self) -> "StageConfig":
        if abs(sum(self.task_shares.values()) - 1) > 1e-6:
            raise ValueError(f"task_shares of stage {self.name!r} must add up to 1, got {self.task_shares}")
        if self.target_tokens is not None and self.target_tokens[0] > self.target_tokens[1]:
            raise ValueError(f"target_tokens of stage {self.name!r} must be (fewest, most), got {self.target_tokens}")
        return self


class PlanConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What decides the order and the mixture of samples."""

    seed: int
    """Keys every permutation and, with (epoch, sample, step), every random draw of the training."""
    batch_samples: Positive
    """Samples per optimizer step over all workers."""
    num_slots: Positive
    """Logical slots a step is divided into; a multiple of the number of workers."""
    stages: Annotated[tuple[StageConfig, ...], MinLen(1)]
    """One after the other."""
    max_tokens: Positive = 16_384
    """Tokens of a pack, clean ones and every draw of noisy ones; a pack is one forward and backward pass."""
    context_slots: Positive = 1
    """Neighbouring slots that share a sample above `max_tokens`; divides `num_slots`. With 1 it is a pack by itself."""
    clump_samples: Positive = 256
    """Samples, neighbours in the table, that are moved together by the shuffle."""
    window_clumps: Positive = 64
    """Clumps whose samples are shuffled among each other."""

    @property
    def num_steps(self) -> int:
        """Optimizer steps of all stages."""
        return sum(stage.num_steps for stage in self.stages)

    @property
    def latents(self) -> tuple[str, ...]:
        """Columns of latents that stages learn from, each once, in the order of the stages."""
        return tuple(dict.fromkeys(stage.latents for stage in self.stages))

    def stage_at(self, step: int) -> StageConfig:
        """The stage that a step, counted from 0, belongs to.

        Raises:
            ValueError: the plan has no such step.
        """
        return self.stages[self._located(step)]

    def steps_before(self, step: int) -> int:
        """Steps of the stages before the one that `step` belongs to."""
        return sum(stage.num_steps for stage in self.stages[: self._located(step)])

    def _located(self, step: int) -> int:
        ends = accumulate(stage.num_steps for stage in self.stages)
        found = next((number for number, end in enumerate(ends) if 0 <= step < end), None)
        if found is None:
            raise ValueError(f"step {step} is not of this plan, whose stages have {self.num_steps} steps, counted from 0")
        return found

    @model_validator(mode="after")
    def _is_consistent(self) -> "PlanConfig":
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stages must have names of their own, got {names}")
        if self.num_slots % self.context_slots:
            raise ValueError(f"num_slots={self.num_slots} must be a multiple of context_slots={self.context_slots}; change one")
        for stage in self.stages:
            if absent := [task for task, quota in quotas(stage, self.batch_samples).items() if not quota]:
                raise ValueError(
                    f"stage {stage.name!r} gives {absent} a share of less than one of {self.batch_samples} samples; "
                    "raise batch_samples or the share, or leave the task out"
                )
        return self


class EmptyTask(ValueError):
    """A task of the plan has no samples in the selection."""


class Tokens(NamedTuple):
    """What the samples take at one resolution, in table order."""

    clean: Int[np.ndarray, " n"]
    """Text and reference tokens."""
    noisy: Int[np.ndarray, " n"]
    """Target tokens."""


class Sizes(NamedTuple):
    """What the plan knows of every sample, in table order."""

    tasks: Int[np.ndarray, " n"]
    """Index into `task_names`."""
    task_names: tuple[str, ...]
    weights: Float[np.ndarray, " n"]
    """Expected appearances per epoch."""
    clean_tokens: Int[np.ndarray, " n"]
    """Text and reference tokens."""
    noisy_tokens: Int[np.ndarray, " n"]
    """What the loss is a mean over: target tokens, or 1 for objectives that count pictures."""
    latents: str = LATENT
    """Column of the latents whose resolution these tokens are of."""
    others: Mapping[str, Tokens] = {}
    """Tokens at further resolutions, by the column of their latents."""

    def at(self, latents: str) -> "Sizes":
        """The sizes at the resolution of a column of latents, one of those that they were made for."""
        if latents == self.latents:
            return self
        clean, noisy = self.others[latents]
        return self._replace(clean_tokens=clean, noisy_tokens=noisy, latents=latents)


class Pick(NamedTuple):
    """One sample in one step."""

    sample: int
    """Index into the samples."""
    epoch: int
    """How often its task's walk has been round before."""


class SharedPack(NamedTuple):
    """A sample above `max_tokens`, whose tokens several slots divide among them."""

    pick: Pick
    slots: range


class StepPlan(NamedTuple):
    """One optimizer step."""

    slots: tuple[tuple[tuple[Pick, ...], ...], ...]
    """Packs of every slot, each of them picks."""
    shared: tuple[SharedPack, ...]
    noisy_tokens: int
    """Of all slots: what the step's loss is a mean over."""
    tokens: int
    """Clean ones and every draw of noisy ones, of all slots."""
    flops: float
    """Operations of the forward and backward passes of all slots."""


class Plan:
    """The steps over given samples; holds no position."""

    def __init__(self, config: PlanConfig, sizes: Sizes, *, cost: Cost) -> None:
        """Args:
            cost: operations of a sample, what slots are balanced by.

        Raises:
            EmptyTask: a task with a share in a stage has no samples of positive weight in the stage's tier.
        """
        self.config = config
        self._sizes, self._cost = sizes, cost
        self._limits = Limits(config.num_slots, config.max_tokens, config.context_slots)
        for stage in config.stages:
            _require_samples(stage, sizes)
        self._walk = lru_cache(maxsize=2 * len(TASKS))(self._begin)  # of two stages: steps are prepared ahead

    def __reduce__(self) -> tuple[Callable[[PlanConfig, Sizes], "Plan"], tuple[PlanConfig, Sizes]]:
        """Travels as what it was made of."""
        return partial(Plan, cost=self._cost), (self.config, self._sizes)

    @property
    def share_over_cap(self) -> float:
        """Share of the samples that have more tokens than a pack may, at their largest resolution."""
        sizes = [self._sizes.at(latents) for latents in self.config.latents]
        tokens = np.max([one.clean_tokens + self._cost.num_draws * one.noisy_tokens for one in sizes], axis=0)
        return float(np.mean(tokens > self.config.max_tokens))

    def step(self, step: int) -> StepPlan:
        """Optimizer step `step`, counted from 0 over all stages.

        Raises:
            ValueError: the plan has no such step.
        """
        drawn, sizes = self._drawn(step), self.sizes_at(step)
        clean, noisy = (counts[drawn.samples].astype(np.int64) for counts in (sizes.clean_tokens, sizes.noisy_tokens))
        flops, tokens = TRAINING_PASSES * self._cost.of(clean, noisy), clean + self._cost.num_draws * noisy
        order = np.lexsort((drawn.epochs, drawn.samples, -flops))
        picks = [Pick(int(drawn.samples[i]), int(drawn.epochs[i])) for i in order]
        placed = place(flops[order], tokens[order], self._limits)
        return StepPlan(
            slots=tuple(tuple(tuple(picks[item] for item in pack) for pack in packs) for packs in placed.slots),
            shared=tuple(SharedPack(picks[item], slots) for item, slots in placed.shared),
            noisy_tokens=int(noisy.sum()), tokens=int(tokens.sum()), flops=float(flops.sum()),
        )  # fmt: skip

    def sizes_at(self, step: int) -> Sizes:
        """Of the samples, at the resolution of the step's stage.

        Raises:
            ValueError: the plan has no such step.
        """
        return self._sizes.at(self.config.stage_at(step).latents)

    def _drawn(self, step: int) -> Stretch:
        stage = self.config.stage_at(step)
        done = step - self.config.steps_before(step)
        stretches = [
            self._walk(stage.name, task).take(done * quota, quota)
            for task, quota in quotas(stage, self.config.batch_samples).items()
        ]
        return Stretch(*(np.concatenate(parts) for parts in zip(*stretches, strict=True)))

    def _begin(self, stage_name: str, task: Task) -> Walk:
        stage = next(stage for stage in self.config.stages if stage.name == stage_name)
        is_member = _is_drawn(stage, self._sizes) & (self._sizes.tasks == self._sizes.task_names.index(task))
        return Walk(
            np.flatnonzero(is_member).astype(np.int32), self._sizes.weights, key=(self.config.seed, stage_name, task),
            shuffle=Shuffle(self.config.clump_samples, self.config.window_clumps),
        )  # fmt: skip


def draw_key(seed: int, *, epoch: int, sample_id: str, step: int) -> int:
    """63-bit key of every random draw made for a sample in a step: the same on any worker, in any order."""
    return hashed(seed, sample_id, epoch, step) >> 1 & (2**63 - 1)


def quotas(stage: StageConfig, batch_samples: int) -> dict[Task, int]:
    """Samples of every task in a step, by largest remainder."""
    exact: dict[Task, float] = {task: share * batch_samples for task, share in stage.task_shares.items()}
    whole: dict[Task, int] = {task: int(value) for task, value in exact.items()}
    by_remainder = sorted(exact, key=lambda task: whole[task] - exact[task])
    for task in by_remainder[: batch_samples - sum(whole.values())]:
        whole[task] += 1
    return whole


def _require_samples(stage: StageConfig, sizes: Sizes) -> None:
    counts = np.bincount(sizes.tasks[_is_drawn(stage, sizes)], minlength=len(sizes.task_names))
    present = {name for name, count in zip(sizes.task_names, counts, strict=True) if count}
    if empty := [task for task in stage.task_shares if task not in present]:
        tier = "" if stage.target_tokens is None else " of {} to {} noisy tokens".format(*stage.target_tokens)
        raise EmptyTask(
            f"stage {stage.name!r} of the plan wants samples of {empty}{tier}, the selection has none; "
            "change the stage in plan.stages, or the selection"
        )


def _is_drawn(stage: StageConfig, sizes: Sizes) -> Bool[np.ndarray, " n"]:
    if stage.target_tokens is None:
        return sizes.weights > 0
    (fewest, most), noisy_tokens = stage.target_tokens, sizes.at(stage.latents).noisy_tokens
    return (sizes.weights > 0) & (noisy_tokens >= fewest) & (noisy_tokens <= most)
