"""How the numbers that rules read are spread, with the limits they are held against: one pass, batch after batch.

A batch is counted in fine buckets of equal relative width, which are found from the bits of each number and so need no range
known beforehand; bars are laid over them at the end. Chosen over a first pass for the range, which would read all columns twice,
and over quantile sketches, which cannot be added up exactly. Buckets are 0.1 % wide, and whole numbers to 2048 have one each.

n rows · k buckets · b bars, e edges of bars: one more
"""

# pyarrow.compute makes its functions at import, where the checker cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64

from curation.predicates import AtLeast, AtMost, Between, Predicate, TextLength, columns_of, num_characters

GROUPS = ("kept", "by_limit", "otherwise")
"""Rows that stay, rows that go by a limit on this number, rows that go for other reasons."""

NUM_BARS = 48

_SHIFT = np.int64(52 - 10)
_MAGNITUDE = np.int64(2**63 - 1)
_TAIL = 0.002
"""Share of the rows at either end that the axis need not reach."""
_LOG_SPREAD = 12.0
"""Ratio of a high to the middle value, or of the middle to a low one, from which the axis is logarithmic."""


class Limit(NamedTuple):
    """A value that a number is held against."""

    value: float
    side: Literal["least", "most"]
    reason: str
    leaf: str
    """Leaf that it holds for, "" for all without a limit of their own."""


class Measure(NamedTuple):
    """A number that rules read."""

    column: str
    is_length: bool
    """Whether it is the number of characters of a text rather than the column's own value."""
    limits: tuple[Limit, ...]

    @property
    def name(self) -> str:
        """For people."""
        return f"characters of {self.column}" if self.is_length else self.column

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why rows go that miss one of the limits."""
        return tuple(dict.fromkeys(limit.reason for limit in self.limits))

    def values(self, rows: pa.Table) -> Float64[np.ndarray, "n"]:
        """The number of every row, NaN where it is missing."""
        column = rows[self.column]
        numbers = num_characters(column) if self.is_length else column
        return pc.fill_null(pc.cast(numbers, pa.float64(), safe=False), np.nan).to_numpy()


class Histogram(NamedTuple):
    """Bars over an axis; the first and the last gather what lies beyond."""

    edges: Float64[np.ndarray, "e"]
    counts: Int64[np.ndarray, "b 3"]
    """Rows by bar and group, in the order of `GROUPS`."""
    is_log: bool
    """Whether the bars are equally wide on a logarithmic axis."""
    num_missing: int
    """Rows without a finite number."""
    low: float
    """Smallest number of all, to 0.1 %."""
    high: float
    """Largest number of all, to 0.1 %."""


def measures_of(rules: Sequence[Predicate]) -> tuple[Measure, ...]:
    """The numbers that predicates with limits read, in their order; several limits on one number stand together."""
    found: dict[tuple[str, bool], list[Limit]] = {}
    for rule in rules:
        for column in columns_of(rule):
            limits = _limits_of(rule)
            if limits:
                found.setdefault((column, isinstance(rule, TextLength)), []).extend(limits)
    return tuple(Measure(column, is_length, tuple(limits)) for (column, is_length), limits in found.items())


class Spread:
    """Counts numbers by bucket and group."""

    def __init__(self) -> None:
        self._keys: Int64[np.ndarray, " k"] = np.empty(0, np.int64)
        self._counts: Int64[np.ndarray, "k 3"] = np.empty((0, len(GROUPS)), np.int64)
        self._num_missing = 0

    def add(self, values: Float64[np.ndarray, "n"], groups: Int64[np.ndarray, "n"]) -> None:
        """Count more rows: the number of each, and its place in `GROUPS`."""
        is_finite = np.isfinite(values)
        self._num_missing += int((~is_finite).sum())
        combined, times = np.unique(_keys(values[is_finite]) * len(GROUPS) + groups[is_finite], return_counts=True)
        keys, places = np.unique(np.append(self._keys, combined // len(GROUPS)), return_inverse=True)
        counts = np.zeros((len(keys), len(GROUPS)), np.int64)
        counts[places[: len(self._keys)]] = self._counts
        np.add.at(counts, (places[len(self._keys) :], combined % len(GROUPS)), times)
        self._keys, self._counts = keys, counts

    def histogram(self, limits: Sequence[Limit] = ()) -> Histogram | None:
        """Bars over the bulk of the numbers and the limits near it; None when there is no number."""
        if not len(self._keys):
            return None
        lows = _lowest_of(self._keys)
        totals = self._counts.sum(axis=1)
        is_log = _asks_for_log(lows, totals)
        edges = _edges(lows, totals, [limit.value for limit in limits], is_log=is_log)
        bars = np.clip(np.searchsorted(edges, lows, side="right") - 1, 0, len(edges) - 2)
        counts = np.zeros((len(edges) - 1, len(GROUPS)), np.int64)
        np.add.at(counts, bars, self._counts)
        return Histogram(edges, counts, is_log, self._num_missing, float(lows[0]), float(lows[-1]))


def _limits_of(rule: Predicate) -> list[Limit]:
    match rule:
        case AtLeast() | AtMost():
            side = "least" if isinstance(rule, AtLeast) else "most"
            by_leaf = [Limit(value, side, rule.reason, leaf) for leaf, value in rule.by_leaf.items()]
            return [Limit(rule.limit, side, rule.reason, ""), *by_leaf]
        case Between() | TextLength():
            high = [] if rule.high is None else [Limit(float(rule.high), "most", rule.reason, "")]
            return [Limit(float(rule.low), "least", rule.reason, ""), *high]
        case _:
            return []


def _keys(values: Float64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """The bucket of each number: leading bits of its IEEE 754 form, made to ascend with the number."""
    bits = (values + 0.0).view(np.int64)  # adding zero turns -0.0 into 0.0
    return (bits ^ ((bits >> np.int64(63)) & _MAGNITUDE)) >> _SHIFT


def _lowest_of(keys: Int64[np.ndarray, "k"]) -> Float64[np.ndarray, "k"]:
    """The smallest number of each bucket."""
    ascending = keys << _SHIFT
    return (ascending ^ ((ascending >> np.int64(63)) & _MAGNITUDE)).view(np.float64)


def _quantile(lows: Float64[np.ndarray, "k"], totals: Int64[np.ndarray, "k"], share: float) -> float:
    reached = np.searchsorted(np.cumsum(totals), share * totals.sum())
    return float(lows[min(int(reached), len(lows) - 1)])


def _asks_for_log(lows: Float64[np.ndarray, "k"], totals: Int64[np.ndarray, "k"]) -> bool:
    """Whether the positive numbers, which have to be nearly all, span orders of magnitude on either side of the middle."""
    positive = lows > 0
    if totals[positive].sum() < 0.9 * totals.sum() or lows[0] < 0:
        return False
    low, middle, high = (_quantile(lows[positive], totals[positive], share) for share in (0.02, 0.5, 0.98))
    return high / middle > _LOG_SPREAD or middle / low > _LOG_SPREAD


def _edges(
    lows: Float64[np.ndarray, "k"], totals: Int64[np.ndarray, "k"], limits: Sequence[float], *, is_log: bool
) -> Float64[np.ndarray, "e"]:
    shown = lows > 0 if is_log else np.ones(len(lows), bool)
    low, high = (_quantile(lows[shown], totals[shown], share) for share in (_TAIL, 1 - _TAIL))
    reach = high - low
    if is_log:
        near = [one for one in limits if low / 30 <= one <= high * 30]
    else:
        near = [one for one in limits if low - reach <= one <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    if not is_log and high - low < NUM_BARS and np.array_equal(lows, np.floor(lows)):
        first = float(np.floor(low)) - 0.5  # one bar a whole number, and some room beside few of them
        return np.arange(min(first, max(first - 2, -0.5)), high + 3)
    if is_log:
        edges = np.geomspace(low / 1.02, high * 1.02, NUM_BARS + 1)
    else:
        edges = np.linspace(low, high + 1e-3 * (high - low) + 1e-9 * max(abs(high), 1.0), NUM_BARS + 1)
    return _aligned(edges, near[0], is_log=is_log) if near else edges


def _aligned(edges: Float64[np.ndarray, "e"], limit: float, *, is_log: bool) -> Float64[np.ndarray, "e"]:
    """The same bars, moved so that none lies across the limit."""
    if is_log:
        return edges * (limit / edges[np.abs(np.log(edges / limit)).argmin()])
    return edges + (limit - edges[np.abs(edges - limit).argmin()])
