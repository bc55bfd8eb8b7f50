"""What a command costs, with everything it starts: CPU time and memory of the whole tree of processes.

A watcher process starts the command and adopts whatever the tree orphans (Linux: PR_SET_CHILD_SUBREAPER), so daemons count, too.
The kernel adds up the CPU time of every process that the watcher has waited for, so nothing is lost between two looks; memory has
to be looked at, several times a second. Elsewhere than on Linux, orphans escape the count.

Run as ``python -m pipelines.bench.tree RESULT COMMAND…``; `spent_by` does so.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psutil

from infra.settings import CODE_ROOT

LOOK_EVERY_S = 0.2
_PR_SET_CHILD_SUBREAPER = 36
_MEBI = 2**20


class Spent(NamedTuple):
    """What a command took."""

    exit_code: int
    cpu_s: float
    """User and system time of all processes."""
    peak_rss_mb: float
    """Largest sum of resident memory over all processes at one time, in MiB; pages that processes share count for each."""
    wall_s: float
    said: str
    """The last lines of its output."""


def spent_by(command: Sequence[str], *, log: Path) -> Spent:
    """Run a command to its end, with one thread for each numeric library, and say what it took.

    Args:
        log: where its output goes.
    """
    settings = [*(f"{name}_NUM_THREADS=1" for name in ("OMP", "OPENBLAS", "MKL")), "NO_ALBUMENTATIONS_UPDATE=1"]
    with TemporaryDirectory(prefix="tree-") as folder:
        result = Path(folder, "spent.json")
        watcher = [sys.executable, "-m", "pipelines.bench.tree", str(result), "env", *settings, *command]
        with log.open("wb") as output:
            subprocess.run(watcher, stdout=output, stderr=subprocess.STDOUT, check=True, cwd=CODE_ROOT)
        said = log.read_text(errors="replace")[-2_000:]
        return Spent(**json.loads(result.read_text()), said=said)


def watch(command: Sequence[str]) -> dict[str, float]:
    """Start the command, wait for it, end what it left running; gives the numbers of `Spent`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began, peak_bytes = time.monotonic(), 0
    started = subprocess.Popen(command)
    ourselves = psutil.Process()
    while started.poll() is None:
        peak_bytes = max(peak_bytes, sum(map(_rss_bytes, ourselves.children(recursive=True))))
        time.sleep(LOOK_EVERY_S)
    wall_s = time.monotonic() - began
    _end(ourselves.children(recursive=True))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime
    return {"exit_code": started.returncode, "cpu_s": cpu_s, "peak_rss_mb": peak_bytes / _MEBI, "wall_s": wall_s}


def _rss_bytes(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def _end(left: Sequence[psutil.Process]) -> None:
    """End what outlived the command, and wait for every child, so that their time is counted."""
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    place, *words = sys.argv[1:]
    Path(place).write_text(json.dumps(watch(words)))
