"""Bars hold every row once, whatever the batches, and limits stand where rules put them."""

import numpy as np
import pyarrow as pa
import pytest

from curation.histograms import NUM_BARS, Histogram, Limit, Spread, measures_of
from curation.predicates import AtLeast, AtMost, Between, NotNull, TextLength

VALUES = np.random.default_rng(0).normal(50, 10, 5000)


def spread_of(values: np.ndarray, *, batch: int = 700) -> Spread:
    spread = Spread()
    for start in range(0, len(values), batch):
        part = values[start : start + batch]
        spread.add(part, np.arange(start, start + len(part)) % 3)
    return spread


def histogram_of(values: np.ndarray, *limits: Limit) -> Histogram:
    found = spread_of(values).histogram(limits)
    assert found is not None
    return found


def test_bars_hold_every_row_and_do_not_depend_on_batches() -> None:
    found = histogram_of(VALUES)
    assert found.counts.sum(axis=0).tolist() == [1667, 1667, 1666]
    assert (len(found.counts), found.is_log) == (NUM_BARS, False)
    again = spread_of(VALUES, batch=5000).histogram()
    assert again is not None
    assert np.array_equal(found.counts, again.counts)
    middle, _ = np.histogram(VALUES, found.edges)
    assert np.abs(found.counts.sum(axis=1) - middle)[1:-1].max() <= 12  # a bucket is 0.1 % wide


def test_signs_zeros_and_missing_numbers_keep_their_places() -> None:
    found = histogram_of(np.array([-3.0, -0.0, 0.0, 0.5, np.nan, np.inf, 1e-300, 4.0]))
    assert (found.low, found.high, found.num_missing) == (pytest.approx(-3, rel=2e-3), 4.0, 2)
    assert found.counts.sum() == 6
    assert Spread().histogram() is None
    assert spread_of(np.array([np.nan])).histogram() is None


def test_a_spread_over_orders_of_magnitude_asks_for_a_log_axis_and_zeros_stay_in_the_first_bar() -> None:
    values = np.append(10 ** np.random.default_rng(1).uniform(-2, 3, 2000), np.zeros(20))
    found = histogram_of(values)
    assert found.is_log
    assert np.allclose(np.diff(np.log(found.edges)), np.diff(np.log(found.edges))[0])
    assert found.counts.sum() == 2020
    assert found.counts[0].sum() >= 20
    assert np.abs(histogram_of(values, Limit(7.0, "least", "dull", "")).edges - 7).min() < 1e-9


def test_whole_numbers_have_a_bar_each_and_one_number_alone_has_one() -> None:
    found = histogram_of(np.array([1, 2, 2, 5, 5, 5], np.float64))
    assert found.counts.sum(axis=1).tolist() == [0, 1, 2, 0, 0, 3, 0, 0]
    assert (found.edges[:-1] + 0.5).tolist() == list(range(8))
    assert histogram_of(np.full(9, 72.0)).counts.sum(axis=1).tolist() == [0, 0, 9, 0, 0]


@pytest.mark.parametrize(("limit", "is_shown"), [(20.0, True), (110.0, True), (1e6, False)])
def test_the_axis_reaches_to_limits_that_are_near(limit: float, is_shown: bool) -> None:
    edges = histogram_of(VALUES, Limit(limit, "least", "dull", "")).edges
    assert (edges[0] <= limit <= edges[-1]) == is_shown
    assert (np.abs(edges - limit).min() < 1e-9) == is_shown, "no bar lies across a limit"


def test_limits_on_one_number_stand_together() -> None:
    rules = (
        AtLeast(reason="small", columns=("width", "height"), limit=32, by_leaf={"icons": 16}),
        AtMost(reason="large", columns=("width",), limit=900), Between(reason="grey", column="tone", low=0.1, high=0.9),
        TextLength(reason="no_text", column="text", low=1, high=None), NotNull(reason="none", column="text"),
    )  # fmt: skip
    found = {measure.name: measure for measure in measures_of(rules)}
    assert list(found) == ["width", "height", "tone", "characters of text"]
    assert found["width"].limits == (
        Limit(32, "least", "small", ""), Limit(16, "least", "small", "icons"), Limit(900, "most", "large", ""),
    )  # fmt: skip
    assert found["width"].reasons == ("small", "large")
    texts = pa.table({"text": [" two ", "", None], "width": pa.array([3, None, 5], pa.int32())})
    assert found["characters of text"].values(texts)[:2].tolist() == [3, 0]
    assert np.isnan(found["width"].values(texts)[1])
