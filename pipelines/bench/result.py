"""What a benchmark reports, and how two ways of doing one thing are timed against each other."""

import statistics
import time
from collections.abc import Callable, Mapping

from pydantic import BaseModel


class BenchResult(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One run of one benchmark."""

    bench: str
    date: str
    hardware: str
    command: str
    ours: dict[str, float]
    """Quantities of our way."""
    peers: dict[str, dict[str, float]]
    """The same quantities of every other way, as far as they are known."""
    ratios: dict[str, float]
    """Above 1: ours is better."""
    checks: dict[str, bool]
    """What must hold for the comparison to be fair, for example that both give the same result."""
    rows: tuple[dict[str, float | str], ...] = ()
    """Every single run behind the figures, where they are medians over runs."""


class Measured(BaseModel, frozen=True, extra="forbid"):
    """What a benchmark's function gives; the command adds date, hardware and command line."""

    ours: dict[str, float]
    peers: dict[str, dict[str, float]]
    ratios: dict[str, float]
    checks: dict[str, bool]
    rows: tuple[dict[str, float | str], ...] = ()


def median_seconds(ways: Mapping[str, Callable[[], object]], *, repetitions: int) -> dict[str, float]:
    """Median wall time of every way, taken in turns after one warm-up each, so that a noisy machine disturbs all alike."""
    for run in ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, run in ways.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}
