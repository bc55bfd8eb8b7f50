"""What the comparison of remembered and repeated conditions rests on; how fast they are is for the benchmark to say."""

import pytest

from models.minilm import TEXT_WIDTH
from models.sizes import tiny
from pipelines.bench import sample

CONFIG = tiny(latent_channels=sample.CHANNELS, text_width=TEXT_WIDTH)


def timed(*, extra: float) -> dict[str, float]:
    """Seconds that are what operations say at 100 GFLOP/s, `extra` times that with references."""
    return {
        f"{way} {num}": sample._flops(CONFIG, num, is_remembered=way == "remembered") / 1e11 * (extra if num else 1)
        for way in ("remembered", "again") for num in (0, *sample.REFERENCES)
    }  # fmt: skip


def test_a_step_that_takes_what_its_operations_say_holds_and_a_slower_one_does_not() -> None:
    good, slow = (sample._measured(CONFIG, timed(extra=extra)) for extra in (1.0, 1.3))
    assert good.ours["measured_over_counted_10_refs"] == pytest.approx(1.0)
    assert slow.ours["measured_over_counted_10_refs"] == pytest.approx(1.3)
    assert all(good.checks.values())
    assert [name for name, holds in slow.checks.items() if not holds] == [
        "with 10 references a step takes at most 1.15 of what its operations say"
    ]


def test_remembering_gains_the_operations_of_the_references() -> None:
    measured = sample._measured(CONFIG, timed(extra=1.0))
    expected = sample._flops(CONFIG, 10, is_remembered=False) / sample._flops(CONFIG, 10)
    assert measured.ratios["cached_vs_full_10_refs"] == pytest.approx(expected)
