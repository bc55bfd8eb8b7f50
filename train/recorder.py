"""What is kept of a run's steps: readings of the meters when they are due, grids of pictures, checkpoints.

Losses are those of the step read, and so is `batch_checksum`, the sum of the CRC-32 of its samples' ids over all workers. Times
are means over all steps since the last reading, so no slow step hides between two, and `bad_samples` their sum. The wait for data
is that of the worker that waited longest; other times and memory are the first worker's.
"""

import resource
import socket
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import torch

from train.checkpoint import Checkpoints
from train.config import FitConfig
from train.events import Events
from train.health import Peak
from train.loop import Taken
from train.meters import MeterFile, Reading
from train.objectives.contract import B, StepInput
from train.parallel.world import World
from train.preview import Previews
from train.state import TrainState
from train.watchdog import Watchdog, stragglers


@dataclass
class _Since:
    """Sums over the steps since the last reading."""

    steps: int = 0
    samples: int = 0
    bad: int = 0
    tokens: int = 0
    flops: float = 0.0
    step_s: float = 0.0
    compute_s: float = 0.0
    wait_s: float = 0.0
    stall_s: float = 0.0

    def add(self, given: StepInput[B], taken: Taken) -> None:
        """Take in a step."""
        self.steps += 1
        self.samples += given.num_samples
        self.bad += given.num_bad
        self.tokens += given.num_tokens
        self.flops += given.flops
        self.step_s += taken.step_s
        self.compute_s += taken.compute_s
        self.wait_s += given.wait_s


class Recorder:
    """After every step: a reading if one is due, a grid of pictures, a checkpoint."""

    def __init__(  # noqa: PLR0913  all that a run's steps leave traces in
        self, state: TrainState, checkpoints: Checkpoints, meters: MeterFile | None, *, world: World, config: FitConfig,
        events: Events, watchdog: Watchdog, previews: Previews | None, is_warned: Callable[[int], bool], peak: Peak | None,
    ) -> None:  # fmt: skip
        """All but the first worker are given no `meters`, where readings go.

        Args:
            is_warned: whether a worker is about to be taken away; every worker asks.
            peak: what utilisation is a share of; None reads no utilisation.
        """
        self._state, self._checkpoints, self._meters, self._world = state, checkpoints, meters, world
        self._config, self._events, self._watchdog, self._previews = config, events, watchdog, previews
        self._is_warned, self._was_warned, self._peak = is_warned, False, peak
        self._since, self._straggler = _Since(), -1
        self._last_done = state.num_steps_done

    def __call__(self, given: StepInput[B], taken: Taken) -> None:
        """Take in a step that was taken; all workers call it."""
        done = self._state.num_steps_done
        self._watchdog.step(done)
        self._since.add(given, taken)
        if done % self._config.log_every_steps == 0 or done in (1, self._config.num_steps):
            self._read(given, taken)
        self._keep(done)
        if self._previews is not None and self._previews.is_due(done):
            self._draw(self._previews, done)

    def _keep(self, done: int) -> None:
        is_warned = self._is_warned(done)
        if is_warned and not self._was_warned and self._world.rank == 0:
            self._events.write("preempted", step=done)
        is_due = self._checkpoints.is_due(done, since=self._last_done)
        self._last_done = done
        if is_due or (is_warned and not self._was_warned):
            self._watchdog.doing("checkpoint")
            self._since.stall_s += self._checkpoints.save(self._state)
        self._was_warned = is_warned or self._was_warned

    def _draw(self, previews: Previews, done: int) -> None:
        self._watchdog.doing("preview")
        weights = self._state.averaged()
        if self._world.rank == 0:
            previews.draw(weights, done, on_step=lambda *_: self._watchdog.at_work())

    def _read(self, given: StepInput[B], taken: Taken) -> None:
        held = {name: (float(meter.sum), float(meter.count)) for name, meter in taken.meters.items()}
        shared = {name: total / count for name, (total, count) in self._world.merged(held).items() if count}
        counted = [name for pack in given.packs if pack.is_counted_by(self._world.rank) for name in pack.sample_ids]
        batch = float(sum(crc32(name.encode()) for name in counted))
        checksum, num_bad = self._world.total([batch, float(self._since.bad)])
        compute_s = self._world.gathered(self._since.compute_s / self._since.steps)
        self._since.wait_s = max(self._world.gathered(self._since.wait_s))
        self._note_straggler(compute_s)
        if self._meters is not None:
            values = {"loss": taken.loss, **shared, "gradient_norm": taken.gradient_norm, "rate_factor": taken.rate}
            counts = {"batch_checksum": checksum, "bad_samples": num_bad}
            ratio = max(compute_s) / max(statistics.median(compute_s), 1e-9)
            pace = {**_pace(self._since), **self._utilisation(), "slowest_ratio": ratio}
            self._meters.write(Reading(self._state.num_steps_done, {**values, **counts, **pace}))
        self._since = _Since()

    def _utilisation(self) -> dict[str, float]:
        """Operations of the model a second, as a share of the peak (Chowdhery et al. 2022, arXiv:2204.02311, appendix B)."""
        if self._peak is None:
            return {}
        seconds = self._since.step_s + self._since.wait_s
        return {"mfu": self._since.flops / seconds / self._peak.of(self._world.size)}

    def _note_straggler(self, compute_s: list[float]) -> None:
        """Say which worker computes longest, when it is another one than before."""
        slow = stragglers(compute_s)
        if slow and slow[0].rank != self._straggler and self._world.rank == slow[0].rank:
            seconds, ratio = round(slow[0].seconds, 4), round(slow[0].ratio, 2)
            self._events.write("straggler", rank=slow[0].rank, host=socket.gethostname(), seconds=seconds, ratio=ratio)
        self._straggler = slow[0].rank if slow else -1


def _pace(since: _Since) -> dict[str, float]:
    seconds = since.step_s + since.wait_s
    return {
        "step_s": since.step_s / since.steps, "data_wait_s": since.wait_s / since.steps,
        "data_wait_fraction": since.wait_s / seconds,
        "samples_per_s": since.samples / seconds, "tokens_per_s": since.tokens / seconds, "flops_per_s": since.flops / seconds,
        "checkpoint_stall_s": since.stall_s, "memory_bytes": float(_peak_memory_bytes()),
    }  # fmt: skip


def _peak_memory_bytes() -> int:
    """Of the device where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
