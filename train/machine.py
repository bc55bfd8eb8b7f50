"""What this machine can do: rates of arithmetic, memory, disk and network, measured in a second or two.

A rate is the best of a few repetitions: whatever else runs only ever slows a measurement down. Rates of a machine with several
GPUs are those of its slowest one, because all wait for it.
"""

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist

_MEMORY_BYTES = 1 << 27
_DISK_BYTES = 1 << 25
_EXCHANGED_BYTES = 1 << 23
_REPETITIONS = 10
_SIDE = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices multiplied: from here on the rate hardly grows."""


class DiskRates(NamedTuple):
    """Of one folder."""

    write_bytes_per_s: float
    read_bytes_per_s: float
    free_bytes: int


class Machine(NamedTuple):
    """One machine, measured."""

    num_devices: int
    """GPUs; 1 where there are none, for all processors together."""
    matmul_flops_per_s: float
    """Of one device."""
    memory_bytes_per_s: float
    """Of one device: read and written, summed up."""
    disk: DiskRates
    ecc_errors: int
    """Uncorrected errors of GPU memory since the driver was loaded, over all GPUs."""


def measure_machine(folder: Path, dtype: torch.dtype) -> Machine:
    """Measure this machine on all its processors.

    Args:
        folder: where the disk is tried; it must exist.
        dtype: of the matrix products.

    Raises:
        OSError: the folder is not there or cannot be written.
    """
    devices = [torch.device("cuda", i) for i in range(torch.cuda.device_count())] or [torch.device("cpu")]
    with _all_processors():
        return Machine(
            num_devices=len(devices),
            matmul_flops_per_s=min(matmul_rate(dtype, device) for device in devices),
            memory_bytes_per_s=min(memory_rate(device) for device in devices),
            disk=disk_rates(folder),
            ecc_errors=ecc_errors(),
        )


def matmul_rate(dtype: torch.dtype, device: torch.device, *, side: int | None = None) -> float:
    """Operations a second in products of large square matrices, a multiply-add counted as two; on torch's threads of now."""
    side = side or _SIDE[device.type]
    left, right = (torch.randn(side, side, device=device, dtype=torch.float32).to(dtype) for _ in range(2))
    product = torch.empty(side, side, device=device, dtype=dtype)
    return 2.0 * side**3 / _seconds(lambda: torch.mm(left, right, out=product), device)


def memory_rate(device: torch.device, *, num_bytes: int = _MEMORY_BYTES) -> float:
    """Bytes a second read and written in copying a tensor larger than caches."""
    source = torch.zeros(num_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2.0 * num_bytes / _seconds(lambda: target.copy_(source), device)


def disk_rates(folder: Path, *, num_bytes: int = _DISK_BYTES) -> DiskRates:
    """Rates of one file written through to the disk and read back past the page cache, where the system can be asked to.

    Raises:
        OSError: the folder is not there or cannot be written.
    """
    path, content = folder / f".disk-{secrets.token_hex(4)}", os.urandom(num_bytes)
    try:
        began = time.perf_counter()
        with path.open("wb", buffering=0) as file:
            file.write(content)
            os.fsync(file.fileno())
            written = time.perf_counter()
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        reading = time.perf_counter()
        path.read_bytes()
        ended = time.perf_counter()
    finally:
        path.unlink(missing_ok=True)
    return DiskRates(num_bytes / (written - began), num_bytes / (ended - reading), shutil.disk_usage(folder).free)


def ecc_errors() -> int:
    """Uncorrected errors in the memory of all GPUs since the driver was loaded; 0 where there is none or none is counted."""
    if shutil.which("nvidia-smi") is None:
        return 0
    query = ["nvidia-smi", "--query-gpu=ecc.errors.uncorrected.volatile.total", "--format=csv,noheader,nounits"]
    finished = subprocess.run(query, capture_output=True, text=True, check=False, timeout=20)
    return counted_errors(finished.stdout) if finished.returncode == 0 else 0


def counted_errors(csv: str) -> int:
    """Sum of the counts, one a line; a GPU that does not count says "[N/A]"."""
    return sum(int(line) for line in map(str.strip, csv.splitlines()) if line.isdecimal())


class Exchange(NamedTuple):
    """An all-reduce among a few machines."""

    bytes_per_s: float
    """Of the tensor that was summed."""
    is_right: bool
    """Whether every element is the sum it must be."""


def all_reduce_rate(
    rank: int, size: int, *, address: str, timeout_s: float, num_bytes: int = _EXCHANGED_BYTES
) -> Exchange:
    """Sum a tensor over `size` processes that all call this: NCCL where there are GPUs, gloo elsewhere.

    A meeting that fails counts as a rate of 0. This process must be in no group yet; it is in none afterwards.

    Args:
        address: ``host:port`` at which the process of rank 0 listens.
    """
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo", init_method=f"tcp://{address}", rank=rank, world_size=size,
            timeout=timedelta(seconds=timeout_s),
        )  # fmt: skip
        held = torch.empty(num_bytes // 4, device=device)
        pattern = torch.arange(len(held), device=device, dtype=torch.float32) % 1024

        def sum_up() -> None:
            held.copy_(pattern * (rank + 1))
            dist.all_reduce(held)

        seconds = _seconds(sum_up, device)
        is_right = torch.equal(held, pattern * (size * (size + 1) // 2))
    except RuntimeError:                                             # what torch raises for every failure of a network
        return Exchange(0.0, is_right=False)
    finally:
        with suppress(AssertionError, ValueError):                   # there is no group to leave
            dist.destroy_process_group()
    return Exchange(num_bytes / seconds, is_right)


@contextmanager
def _all_processors() -> Iterator[None]:
    """Torch computes on every processor this process may use, in the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """The shortest of a few runs, the first of which warms up."""
    shortest = float("inf")
    for _ in range(1 + _REPETITIONS):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        ended = time.perf_counter()
        shortest = min(shortest, ended - began)
    return shortest
