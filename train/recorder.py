"""What is kept of every step: readings of the meters when they are due, and checkpoints.

Losses are those of the step read, and so is `batch_checksum`, the sum of the CRC-32 of its samples' ids over all workers. Times are means over all steps since the last reading, so no slow step hides between two.
"""

import resource
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import torch

from train.checkpoint import Checkpoints
from train.loop import Taken
from train.meters import MeterFile, Reading
from train.objectives.contract import B, StepInput
from train.parallel.world import World
from train.state import TrainState


@dataclass
class _Since:
    """Sums over the steps since the last reading."""

    steps: int = 0
    samples: int = 0
    tokens: int = 0
    flops: float = 0.0
    step_s: float = 0.0
    compute_s: float = 0.0
    wait_s: float = 0.0
    stall_s: float = 0.0


class Recorder:
    """After every step: a reading if it is due, a checkpoint if it is due."""

    def __init__(
        self, state: TrainState, checkpoints: Checkpoints, meters: MeterFile | None, *,
        world: World, log_every_steps: int, num_steps: int, is_warned: Callable[[int], bool],
    ) -> None:  # fmt: skip
        """Args:
            meters: where readings go, None on all workers but the first.
            is_warned: whether a worker is about to be taken away; every worker asks.
        """  # fmt: skip
        self._state, self._checkpoints, self._meters, self._world = state, checkpoints, meters, world
        self._log_every_steps, self._num_steps = log_every_steps, num_steps
        self._is_warned, self._was_warned = is_warned, False
        self._since = _Since()

    def __call__(self, given: StepInput[B], taken: Taken) -> None:
        """Take in a step that was taken; all workers call it."""
        since, done = self._since, self._state.num_steps_done
        since.steps += 1
        since.samples += given.num_samples
        since.tokens += given.num_tokens
        since.flops += given.flops
        since.step_s += taken.step_s
        since.compute_s += taken.compute_s
        since.wait_s += given.wait_s
        if done % self._log_every_steps == 0 or done in (1, self._num_steps):
            self._read(given, taken)
        is_warned = self._is_warned(done)
        if self._checkpoints.is_due(done) or done == self._num_steps or (is_warned and not self._was_warned):
            self._since.stall_s += self._checkpoints.save(self._state)
        self._was_warned = is_warned or self._was_warned

    def _read(self, given: StepInput[B], taken: Taken) -> None:
        held = {name: (float(meter.sum), float(meter.count)) for name, meter in taken.meters.items()}
        shared = {name: total / count for name, (total, count) in self._world.merged(held).items() if count}
        (batch,) = self._world.total([float(sum(crc32(i.encode()) for pack in given.packs for i in pack.sample_ids))])
        compute_s = self._world.gathered(self._since.compute_s / self._since.steps)
        if self._meters is not None:
            values = {"loss": taken.loss, **shared, "gradient_norm": taken.gradient_norm, "rate_factor": taken.rate, "batch_checksum": batch}
            self._meters.write(Reading(self._state.num_steps_done, {**values, **_pace(self._since), **_spread(compute_s)}))
        self._since = _Since()


def _pace(since: _Since) -> dict[str, float]:
    seconds = since.step_s + since.wait_s
    return {
        "step_s": since.step_s / since.steps, "data_wait_s": since.wait_s / since.steps, "data_wait_fraction": since.wait_s / seconds,
        "samples_per_s": since.samples / seconds, "tokens_per_s": since.tokens / seconds, "flops_per_s": since.flops / seconds,
        "checkpoint_stall_s": since.stall_s, "memory_bytes": float(_peak_memory_bytes()),
    }  # fmt: skip


def _spread(compute_s: list[float]) -> dict[str, float]:
    """How much longer the slowest worker computes than the middle one, and which it is."""
    slowest = max(range(len(compute_s)), key=compute_s.__getitem__)
    return {"slowest_rank": float(slowest), "slowest_ratio": compute_s[slowest] / max(statistics.median(compute_s), 1e-9)}


def _peak_memory_bytes() -> int:
    """Of the device where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
