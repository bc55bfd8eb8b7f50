import numpy as np
import pytest

from eval.stats import mean_of, statistic_of, wilson


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611), (15, 148, 0.0624, 0.1605), (20, 20, 0.8389, 1.0)],
)
def test_wilson_gives_published_intervals(hits: int, trials: int, low: float, high: float) -> None:
    """Newcombe 1998, table I, method 3."""
    found = wilson(hits, trials)
    assert (found.value, found.low, found.high) == pytest.approx((hits / trials, low, high), abs=5e-5)


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        wilson(0, 0)


def test_the_bootstrap_of_a_mean_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    found = [mean_of(generator.normal(size=60), seed=trial, resamples=400) for trial in range(200)]
    assert 0.89 <= np.mean([interval.low <= 0 <= interval.high for interval in found]) <= 0.99


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(1).normal(5.0, 1.0, size=64)
    found = statistic_of(lambda kept: float(values[kept].mean()), 64, seed=0, num_groups=64)
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.value == pytest.approx(1.959964 * values.std(ddof=1) / 8)


def test_the_jackknife_leaves_every_item_out_once() -> None:
    kept: list[list[int]] = []
    statistic_of(lambda indices: float(kept.append(indices.tolist()) or 0.0), 10, seed=3, num_groups=4)
    left_out = [sorted(set(range(10)) - set(indices)) for indices in kept[1:]]
    assert kept[0] == list(range(10))
    assert sorted(item for group in left_out for item in group) == list(range(10))
    assert all(len(group) in (2, 3) for group in left_out)
