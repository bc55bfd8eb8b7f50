"""Which samples form which optimizer step: a pure function of (samples, seed, step), known before any picture is read.

Every task has its own endless walk over its samples: epoch after epoch, each epoch a permutation keyed by (seed, task, epoch)
in which a sample of weight w appears floor(w) times, and once more with probability w - floor(w). A step takes its share of
every task's walk from the position that follows from the step number alone, and spreads the picks over logical slots,
longest first onto the least loaded (Graham 1969). Slots are configuration, never the number of workers, so the same global
batch follows on any number of them, and resuming is going on at a step number.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Gt
from jaxtyping import Float, Int
from pydantic import BaseModel, model_validator

from curation.tables import Task

Positive = Annotated[int, Gt(0)]


class PlanConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What decides the order and the mixture of samples."""

    seed: int
    """Keys every permutation and, with (epoch, sample, step), every random draw of the training."""
    batch_samples: Positive
    """Samples per optimizer step over all workers."""
    num_slots: Positive
    """Logical slots a step is divided into; a multiple of the number of workers."""
    task_shares: dict[Task, Annotated[float, Gt(0.0)]]
    """Share of a step's samples per task; they add up to 1."""

    @model_validator(mode="after")
    def _shares_add_up(self) -> "PlanConfig":
        if abs(sum(self.task_shares.values()) - 1) > 1e-6:
            raise ValueError(f"task_shares must add up to 1, got {self.task_shares}")
        return self


class EmptyTask(ValueError):
    """A task of the plan has no samples in the selection."""


class Pick(NamedTuple):
    """One sample in one step."""

    sample: int
    """Index into the samples."""
    epoch: int
    """How often its task's walk has been round before."""


class Plan:
    """The walk over given samples; holds no position."""

    def __init__(
        self, config: PlanConfig, *, tasks: Sequence[str], weights: Float[np.ndarray, " n"], costs: Int[np.ndarray, " n"]
    ) -> None:
        """Args:
            tasks: task of every sample.
            weights: expected appearances per epoch.
            costs: tokens of every sample, what slots are balanced by.

        Raises:
            EmptyTask: a task with a share has no samples of positive weight.
        """
        self.config = config
        self._weights, self._costs = weights, costs
        names = np.asarray(tasks)
        self._members = {task: np.flatnonzero((names == task) & (weights > 0)) for task in config.task_shares}
        empty = [task for task, members in self._members.items() if not len(members)]
        if empty:
            raise EmptyTask(
                f"the plan wants samples of {empty}, the selection has none; change plan.task_shares or the selection"
            )
        self._quotas = _quotas(config)
        self._epoch_order = lru_cache(maxsize=64)(self._ordered)

    def step(self, step: int) -> list[tuple[Pick, ...]]:
        """The picks of every slot in optimizer step `step`, counted from 0."""
        picks = [pick for task, quota in self._quotas.items() for pick in self._walk(task, step * quota, quota)]
        return _balanced(picks, costs=self._costs, num_slots=self.config.num_slots)

    def _walk(self, task: Task, start: int, count: int) -> list[Pick]:
        picks: list[Pick] = []
        epoch, first = self._epoch_at(task, start)
        while len(picks) < count:
            order = self._epoch_order(task, epoch)
            picks += [Pick(int(sample), epoch) for sample in order[first : first + count - len(picks)]]
            epoch, first = epoch + 1, 0
        return picks

    def _epoch_at(self, task: Task, position: int) -> tuple[int, int]:
        """Epoch and offset in it of a position of the walk; whole weights make every epoch equally long."""
        weights = self._weights[self._members[task]]
        if np.all(weights == np.floor(weights)):
            return divmod(position, int(weights.sum()))
        epoch = 0
        while position >= (length := len(self._epoch_order(task, epoch))):
            position, epoch = position - length, epoch + 1
        return epoch, position

    def _ordered(self, task: Task, epoch: int) -> Int[np.ndarray, " n"]:
        members = self._members[task]
        draws = np.random.Generator(np.random.Philox(key=_key(self.config.seed, task, epoch)))
        weights = self._weights[members]
        copies = np.floor(weights) + (draws.random(len(members)) < weights - np.floor(weights))
        return draws.permutation(np.repeat(members, copies.astype(np.int64)))


def draw_key(seed: int, *, epoch: int, sample_id: str, step: int) -> int:
    """63-bit key of every random draw made for a sample in a step: the same on any worker, in any order."""
    return _key(seed, sample_id, epoch, step) >> 1 & (2**63 - 1)


def _key(*parts: int | str) -> int:
    return int.from_bytes(hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest(), "big")


def _quotas(config: PlanConfig) -> dict[Task, int]:
    """Samples of every task in a step, by largest remainder."""
    exact: dict[Task, float] = {task: share * config.batch_samples for task, share in config.task_shares.items()}
    quotas: dict[Task, int] = {task: int(value) for task, value in exact.items()}
    by_remainder = sorted(exact, key=lambda task: quotas[task] - exact[task])
    for task in by_remainder[: config.batch_samples - sum(quotas.values())]:
        quotas[task] += 1
    return quotas


def _balanced(picks: Sequence[Pick], *, costs: Int[np.ndarray, " n"], num_slots: int) -> list[tuple[Pick, ...]]:
    slots: list[list[Pick]] = [[] for _ in range(num_slots)]
    loads = [0] * num_slots
    for pick in sorted(picks, key=lambda pick: (-int(costs[pick.sample]), pick.sample, pick.epoch)):
        lightest = loads.index(min(loads))
        slots[lightest].append(pick)
        loads[lightest] += int(costs[pick.sample])
    return [tuple(slot) for slot in slots]
