"""What every reader of the feed benchmark does with its batches, and how fast they came."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import psutil
import torch
from torch import Tensor

from curation.decode import training_view

SIZE_PX = 256
BATCH = 32
NUM_WORKERS = 2
"""Processes that read and decode."""
SHUFFLE_BUFFER = 256
"""Samples among which a streaming reader shuffles, in each process."""
SEED = 0

_SETTLED_AFTER = 0.25
"""Share of the batches after which the rate is taken, when what was ready before the first one is used up."""


class Read(NamedTuple):
    """What a reader wrote of itself."""

    first_batch_seconds: float
    """From the order to read to the first batch, with all processes yet to start."""
    samples_per_s: float
    cpu_ms_per_sample: float
    """CPU time of the reader's processes, Ray's included, at the same time."""
    ids: list[str]
    """In the order in which they came."""
    pixel_sum: int
    """Of the pixels in the middle: equal for all who decoded the same pictures alike."""


class _Arrival(NamedTuple):
    """When a batch came, and what had been spent by then."""

    time_s: float
    cpu_s: float


def decoded(encoded: bytes) -> Tensor:
    """The decoding that all readers share: (y, x, 3), uint8."""
    return torch.from_numpy(training_view(encoded, SIZE_PX).copy())


def read_all(batches: Iterable[tuple[list[str], Tensor]], result: Path) -> None:
    """Take every batch as a training loop would, and write a `Read`."""
    began, arrivals, ids, pixel_sum = time.perf_counter(), [], [], 0
    for names, pixels in batches:
        arrivals.append(_Arrival(time.perf_counter(), _cpu_s()))
        ids += names
        pixel_sum += int(pixels[:, SIZE_PX // 2, SIZE_PX // 2].sum())
    settled, last = arrivals[int(len(arrivals) * _SETTLED_AFTER)], arrivals[-1]
    num = len(ids) - BATCH * (arrivals.index(settled) + 1)
    read = Read(
        first_batch_seconds=arrivals[0].time_s - began, samples_per_s=num / (last.time_s - settled.time_s),
        cpu_ms_per_sample=(last.cpu_s - settled.cpu_s) / num * 1000, ids=ids, pixel_sum=pixel_sum,
    )  # fmt: skip
    result.write_text(json.dumps(read._asdict()))


def _cpu_s() -> float:
    """User and system time of this process and all that it started."""
    ourselves = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in (ourselves, *ourselves.children(recursive=True)))
