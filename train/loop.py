"""The training step, and nothing about where it runs: torch only.

One step: every slot's loss, weighted by its share of the step's samples, is differentiated and added up; gradients are summed
over workers; one clipped optimizer step; the average takes in the result. So the sum over slots is the mean over the step's
samples, however slots are spread over workers.
"""

import time
from collections.abc import Callable, Iterable
from typing import Annotated

import torch
from annotated_types import Gt
from pydantic import BaseModel
from torch import nn

from train.objectives.contract import B, Objective, StepInput
from train.optim import OptimConfig, clip_gradients, rate_factor, set_rates
from train.precision import Precision
from train.state import TrainState


class LoopConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Length and arithmetic of a training run."""

    num_steps: Annotated[int, Gt(0)]
    """Optimizer steps in all."""
    precision: Precision
    """Arithmetic of matrix products; weights, averages and optimizer states are fp32 either way."""
    ema_decay: Annotated[float, Gt(0.0)]
    """Largest decay of the averaged weights."""


def train_steps(
    state: TrainState, objective: Objective[B], inputs: Iterable[StepInput[B]], *,
    loop: LoopConfig, optim: OptimConfig, sum_over_workers: Callable[[nn.Module], None],
    after_step: Callable[[dict[str, float]], None],
) -> None:  # fmt: skip
    """Train through `inputs`, counting in `state`.

    Args:
        sum_over_workers: adds every worker's gradients into each, in place; does nothing with one worker.
        after_step: called with the step's meters after `state.num_steps_done` has moved on.
    """
    objective.network.train()
    for step_input in inputs:
        began = time.perf_counter()
        factor = rate_factor(step_input.step, num_steps=loop.num_steps, config=optim)
        meters = _differentiate(objective, step_input, precision=loop.precision)
        sum_over_workers(objective.network)
        norm = clip_gradients(objective.network, optim)
        set_rates(state.optimizers, factor)
        for optimizer in state.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        state.average.update(objective.network, step=step_input.step)
        state.num_steps_done = step_input.step + 1
        seconds = time.perf_counter() - began
        after_step({
            **meters, "gradient_norm": norm, "rate_factor": factor, "step_s": seconds, "data_wait_s": step_input.wait_s,
            "samples_per_s": step_input.num_samples / (seconds + step_input.wait_s),
        })  # fmt: skip


def _differentiate(objective: Objective[B], step_input: StepInput[B], *, precision: Precision) -> dict[str, float]:
    meters: dict[str, float] = {}
    for share, batch in step_input.batches:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            terms = objective.loss(batch)
        (share * terms.total).backward()
        for name, value in {"loss": terms.total.item(), **terms.named}.items():
            meters[name] = meters.get(name, 0.0) + share * value
    return meters
