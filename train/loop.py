"""The training step, and nothing about where it runs: torch only.

One step: every pack's loss, weighted by its share of the step's units, is differentiated and added up; gradients are summed over
workers; one clipped optimizer step; the average takes in the result. So the sum over packs is the mean over the step's units,
however slots are spread over workers. Objectives whose updates alternate go through their packs once for each phase that is due
and has something that moves.
A step that would do harm is not taken, and what was in it is named (`train.guard`).
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Generic, NamedTuple

import torch
from annotated_types import Gt
from pydantic import BaseModel
from torch import Tensor
from torch.utils._pytree import tree_map_only

from models.context import Context
from train.objectives.contract import B, Meter, Objective, PackInput, Phase, StepInput
from train.parallel.world import World
from train.precision import Precision
from train.state import TrainState

logger = logging.getLogger(__name__)

_NAMED_SAMPLES = 20


class LoopConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Arithmetic of a training run."""

    precision: Precision
    """Arithmetic of matrix products; weights, averages and optimizer states are fp32 either way."""
    ema_decay: Annotated[float, Gt(0.0)]
    """Largest decay of the averaged weights."""


class Taken(NamedTuple):
    """What a step did, on this worker."""

    loss: float
    """Of the whole step; of the last phase, where updates alternate."""
    gradient_norm: float
    rate: float
    """Factor on the peak rates."""
    meters: dict[str, Meter]
    """This worker's share; sums over workers make means."""
    compute_s: float
    """In the passes; under sharding engines these wait for other workers, too."""
    step_s: float
    """The whole step, without the wait for its data."""


@dataclass(frozen=True)
class Hooks(Generic[B]):
    """What a run is given besides its data: whom to tell of its course, and whom to ask."""

    after_step: Callable[[StepInput[B], Taken], None]
    """Called once `state.num_steps_done` has moved on."""
    rate: Callable[[int], float]
    """Factor on the peak rates in a step."""
    frozen: Callable[[int], tuple[str, ...]] = field(default=lambda _: ())
    """Prefixes of parameter names that stand still in a step."""
    doing: Callable[[str], None] = field(default=lambda _: None)
    """Told what begins: "data", "compute", "collective"."""
    is_asked_to_stop: Callable[[], bool] = field(default=lambda: False)
    contexts: Mapping[range, Context] = field(default_factory=dict)
    """Groups of workers that share packs, by their ranks."""


class Stopped(Exception):
    """A worker was asked to stop; the step is done and all workers stop after it."""


def train_steps(
    state: TrainState[B], objective: Objective[B], inputs: Iterable[StepInput[B]], *, world: World, hooks: Hooks[B]
) -> None:
    """Train through `inputs`, counting in `state`.

    Raises:
        Stopped: a worker was asked to stop.
        RolledBack: too many steps struck in a row; go on from the newest checkpoint.
        Diverged: the run has gone back too often.
    """
    objective.network.train()
    hooks.doing("data")
    for step_input in inputs:
        taken = _step(state, objective, step_input, world=world, hooks=hooks)
        state.num_steps_done = step_input.step + 1
        if taken is not None:
            hooks.after_step(step_input, taken)
        if world.total([float(hooks.is_asked_to_stop())])[0]:
            raise Stopped
        hooks.doing("data")


def _step(
    state: TrainState[B], objective: Objective[B], given: StepInput[B], *, world: World, hooks: Hooks[B]
) -> Taken | None:
    """The step's last update; None when there was none, or one of them struck: updates of earlier phases stand."""
    if state.guard.leaves_out(given.step):
        return None
    began, rate, taken, compute_s = time.perf_counter(), hooks.rate(given.step), None, 0.0
    for phase in objective.phases:
        if given.step % phase.every_steps == 0 and state.engine.moves(phase.name, frozen=hooks.frozen(given.step)):
            taken = _update(state, given, phase, world=world, hooks=hooks, rate=rate)
            if taken is None:
                return None
            compute_s += taken.compute_s
    if taken is None:                                                # no phase is due, or all stand still
        return None
    state.guard.end_row()
    state.average.update(state.engine.weights(), step=given.step)
    return taken._replace(compute_s=compute_s, step_s=time.perf_counter() - began)


def _update(
    state: TrainState[B], given: StepInput[B], phase: Phase, *, world: World, hooks: Hooks[B], rate: float
) -> Taken | None:
    engine, began = state.engine, time.perf_counter()
    hooks.doing("compute")
    engine.begin(phase.name, frozen=hooks.frozen(given.step))
    losses, meters = _differentiate(state, given, phase, hooks=hooks, device=world.device)
    compute_s = time.perf_counter() - began
    hooks.doing("collective")
    (loss,) = world.total([sum((pack.share * value for pack, value in losses), start=0.0)])
    if engine.can_skip:
        norm = engine.gradient_norm(phase.name)
    else:                                                            # the norm comes with the update: the loss is judged before
        norm = engine.update(phase.name, rate=rate) if math.isfinite(loss) else 0.0
    finding = state.guard.judge(phase.name, loss, norm)
    if finding == "fine":
        if engine.can_skip:
            engine.update(phase.name, rate=rate)
        return Taken(loss, norm, rate, meters, compute_s, 0.0)
    engine.drop(phase.name)
    _name_culprits(losses, step=given.step, finding=finding, loss=loss, norm=norm)
    state.guard.strike(given.step, can_skip=engine.can_skip)
    return None


def _differentiate(
    state: TrainState[B], given: StepInput[B], phase: Phase, *, hooks: Hooks[B], device: torch.device
) -> tuple[list[tuple[PackInput[B], float]], dict[str, Meter]]:
    """Every pack's loss, and the sums of the meters. Where passes send and receive, all workers run equally many."""
    engine = state.engine
    losses: list[tuple[PackInput[B], Tensor]] = []
    meters: dict[str, Meter] = {}
    passes = _passes(given, equally_many=engine.needs_equal_passes)
    for number, pack in enumerate(passes):
        is_real = number < len(given.packs)
        context = hooks.contexts[pack.ranks] if is_real and pack.ranks is not None else None      # nobody shares a pass for show
        batch = tree_map_only(Tensor, lambda tensor: tensor.to(device, non_blocking=True), pack.batch)
        terms = engine.loss(batch, phase.name, context)
        engine.backward((pack.share if is_real else 0.0) * terms.total, is_last=number == len(passes) - 1)
        if is_real:
            losses.append((pack, terms.total.detach()))
            for name, meter in terms.meters.items():
                known = meters.get(name)
                meters[name] = meter if known is None else Meter(known.sum + meter.sum, known.count + meter.count)
    return [(pack, value.item()) for pack, value in losses], meters


def _passes(given: StepInput[B], *, equally_many: bool) -> list[PackInput[B]]:
    missing = given.num_rounds - len(given.packs) if equally_many else 0
    if not missing:
        return given.packs
    if given.filler is None:
        raise ValueError(
            f"none of this worker's samples up to step {given.step} can be decoded, and its passes are needed by the others; "
            "curate and select again"
        )
    return [*given.packs, *[given.filler] * missing]


def _name_culprits(losses: Iterable[tuple[PackInput[B], float]], *, step: int, finding: str, loss: float, norm: float) -> None:
    """Log the samples of the packs that are not finite, of this worker's worst pack if all are."""
    held = list(losses)
    bad = [(pack, value) for pack, value in held if not math.isfinite(value)] or sorted(held, key=lambda each: -each[1])[:1]
    for pack, value in bad:
        logger.warning(
            "step not taken",
            extra={
                "step": step, "finding": finding, "loss": loss, "gradient_norm": norm, "pack_loss": value,
                "num_samples": len(pack.sample_ids), "samples": pack.sample_ids[:_NAMED_SAMPLES],
            },
        )  # fmt: skip
