"""The feed benchmark: what it makes of what readers wrote of themselves."""

import pytest

from pipelines.bench import feed
from pipelines.bench.reading import Read
from pipelines.bench.result import Measured

FASTEST = "ours reads at least as fast as the best peer"
NUM_FILES = 3
WAIT = {"step_ms": 400.0, "data_wait_fraction": 0.01}


def read(samples_per_s: float, *, ids: tuple[str, ...] = ("b", "a", "c"), pixel_sum: int = 7) -> Read:
    return Read(
        first_batch_seconds=1.0, samples_per_s=samples_per_s, cpu_ms_per_sample=1000 / samples_per_s, ids=list(ids),
        pixel_sum=pixel_sum,
    )  # fmt: skip


def measured(ours: tuple[float, ...], peers: dict[str, tuple[float, ...]], **wait: float) -> Measured:
    reads = {(name, turn): read(rate) for name, rates in {"ours": ours, **peers}.items() for turn, rate in enumerate(rates)}
    return feed._measured(reads, {**WAIT, **wait}, num_files=NUM_FILES)


def test_ours_is_held_against_the_best_peer_by_medians() -> None:
    faster = measured((90.0, 130.0, 120.0), {"torch": (100.0, 200.0, 110.0), "datasets": (50.0, 40.0, 60.0)})
    assert faster.ratios["vs_best_peer"] == pytest.approx(120 / 110)
    assert faster.ratios["vs_datasets"] == pytest.approx(120 / 50)
    assert all(faster.checks.values())
    slower = measured((100.0,), {"torch": (101.0,), "datasets": (50.0,)})
    assert [name for name, holds in slower.checks.items() if not holds] == [FASTEST]
    assert measured((100.0,), {"torch": (100.0,)}).checks[FASTEST]


def test_a_training_that_waits_or_steps_that_are_too_short_to_tell_do_not_pass() -> None:
    waiting = measured((2.0,), {"torch": (1.0,)}, data_wait_fraction=0.02)
    assert [name for name, holds in waiting.checks.items() if not holds] == ["less than 2% of a training is waiting for data"]
    short = measured((2.0,), {"torch": (1.0,)}, step_ms=299.0)
    assert [name for name, holds in short.checks.items() if not holds] == ["a step takes at least 300 ms"]


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        (read(1.0, ids=("b", "a", "b")), "every reader gave every picture once"),
        (read(1.0, pixel_sum=8), "every reader gave the same pixels"),
        (read(1.0, ids=("a", "b", "c")), "no reader kept the order of the files"),
    ],
)
def test_a_peer_that_reads_something_else_is_found_out(other: Read, fault: str) -> None:
    found = feed._measured({("ours", 0): read(2.0), ("torch", 0): other}, WAIT, num_files=NUM_FILES)
    assert [name for name, holds in found.checks.items() if not holds] == [fault]
