"""What a decision did to a table, as its engineer looks at it: counts, spreads of the numbers it read, and samples of rows.

One pass over the standing verdicts and the columns that the rules read, batch after batch; what is held does not grow with the
number of rows. Samples are the rows with the lowest keyed draws, so the same rows stand in every review of the same table.

n rows
"""

# pyarrow.compute makes its functions at import, where the checker cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float64, Int64, UInt64

from curation.draws import text_hashes, unit_draws
from curation.funnel import NONE, Counting
from curation.histograms import Histogram, Measure, Spread, measures_of
from curation.tables import REASONS
from curation.verdict import KEPT, QUARANTINED, VERDICTS, Decision, DecisionConfig, reasons_of


class Sampled(NamedTuple):
    """A row that was drawn to be looked at."""

    row_id: int
    """Lance's ``_rowid``."""
    id: str
    leaf: str
    reasons: tuple[str, ...]
    """In the order in which they are applied; () when it is kept."""


class Review(NamedTuple):
    """What a decision did to a table."""

    funnel: pa.Table
    """By leaf, see `curation.funnel`."""
    histograms: tuple[tuple[Measure, Histogram], ...]
    """Numbers that rules with limits read; those without any value are left out."""
    kept: Mapping[str, tuple[Sampled, ...]]
    """Some kept rows of each leaf."""
    gone: Mapping[str, tuple[Sampled, ...]]
    """Some rows of each first reason."""
    errors: Mapping[str, int]
    """Rows set aside by "column: class of error"; a row counts in each column that has one."""


def columns_read(rules: DecisionConfig) -> tuple[str, ...]:
    """Columns of a table that a review reads."""
    measured = [measure.column for measure in measures_of(rules.drop)]
    return tuple(dict.fromkeys(["id", rules.leaf, "verdict", "verdict_reasons", *rules.quarantine.columns, *measured]))


def review(batches: Iterable[pa.Table], rules: DecisionConfig, *, num_samples: int) -> Review:
    """Count, spread and sample rows that have a verdict.

    Args:
        batches: with `columns_read(rules)` and ``_rowid``.
        num_samples: most rows drawn of each leaf and of each reason.
    """
    names = tuple(dict.fromkeys((*reasons_of(rules), *REASONS)))
    counting, errors = Counting(names), Counter[str]()
    spreads = [(measure, Spread()) for measure in measures_of(rules.drop)]
    kept, gone = (_Sampling(num_samples, rules) for _ in range(2))
    for rows in batches:
        decision = decision_of(rows, names)
        counting.add(rows[rules.leaf], decision)
        for measure, spread in spreads:
            spread.add(measure.values(rows), _groups(decision, measure))
        errors.update(_errors(rows, decision, rules))
        kept.add(rows, pc.fill_null(rows[rules.leaf], ""), decision.is_kept)
        firsts = pa.array(np.array(["", *names])[decision.first_reason + 1])
        gone.add(rows, pa.chunked_array([firsts]), ~decision.is_kept)
    drawn = [(measure, spread.histogram(measure.limits)) for measure, spread in spreads]
    found = tuple((measure, histogram) for measure, histogram in drawn if histogram is not None)
    by_leaf = {leaf or NONE: rows for leaf, rows in kept.found().items()}
    return Review(counting.table(), found, by_leaf, gone.found(), dict(errors.most_common()))


def decision_of(rows: pa.Table, names: tuple[str, ...]) -> Decision:
    """The standing verdicts of rows; every kept one weighs the same."""
    lists = rows["verdict_reasons"].combine_chunks()
    places = pc.index_in(pc.list_flatten(lists), pa.array(names)).to_numpy(zero_copy_only=False)
    assert not np.isnan(places).any(), (names, lists.value_counts())
    reasons = np.zeros(rows.num_rows, np.uint64)
    np.bitwise_or.at(reasons, pc.list_parent_indices(lists).to_numpy(), np.uint64(1) << places.astype(np.uint64))
    verdict = pc.index_in(rows["verdict"], pa.array(VERDICTS)).to_numpy().astype(np.int8)
    return Decision(verdict, reasons, (verdict == KEPT).astype(np.float32), names)


class _Sampling:
    """Keeps the rows with the lowest draws of each group."""

    def __init__(self, num: int, rules: DecisionConfig) -> None:
        self._num, self._leaf, self._seed = num, rules.leaf, rules.seed
        self._found: dict[str, list[tuple[float, Sampled]]] = {}

    def add(self, rows: pa.Table, groups: pa.ChunkedArray, among: Bool[np.ndarray, "n"]) -> None:
        """Draw among more rows, each in the group that its text names."""
        encoded = groups.combine_chunks().dictionary_encode()
        codes, names = np.asarray(encoded.indices, np.int64), encoded.dictionary.to_pylist()
        draws = unit_draws(text_hashes(rows["id"]), "review", self._seed)
        bounds = np.array([self._bound(name) for name in names])
        asked = np.flatnonzero(among & (draws < bounds[codes])) if names else np.empty(0, np.int64)
        chosen = asked[_lowest(codes[asked], draws[asked], self._num)]
        columns = [rows.take(pa.array(chosen))[name].to_pylist() for name in ("_rowid", "id", self._leaf, "verdict_reasons")]
        for place, row_id, name, leaf, reasons in zip(chosen.tolist(), *columns, strict=True):
            sampled = Sampled(row_id, name, leaf or NONE, tuple(reasons))
            self._found.setdefault(names[codes[place]], []).append((float(draws[place]), sampled))
        for name in {names[code] for code in codes[chosen].tolist()}:
            self._found[name] = sorted(self._found[name])[: self._num]

    def found(self) -> dict[str, tuple[Sampled, ...]]:
        """The rows of each group, in the order of their draws."""
        return {name: tuple(sampled for _, sampled in entries) for name, entries in sorted(self._found.items())}

    def _bound(self, name: str) -> float:
        """Draws that are not below it cannot be among the lowest any more."""
        entries = self._found.get(name, [])
        return entries[-1][0] if len(entries) == self._num else np.inf


def _lowest(codes: Int64[np.ndarray, "n"], draws: Float64[np.ndarray, "n"], num: int) -> Int64[np.ndarray, "_"]:
    """Places of the `num` lowest draws of each code."""
    order = np.lexsort((draws, codes))
    is_first = np.append(True, np.diff(codes[order]) != 0)[: len(order)]
    starts = np.flatnonzero(is_first)[np.cumsum(is_first) - 1]
    return order[np.arange(len(order)) - starts < num]


def _groups(decision: Decision, measure: Measure) -> Int64[np.ndarray, "n"]:
    """Place of each row in `histograms.GROUPS`."""
    bits: UInt64[np.ndarray, ""] = np.bitwise_or.reduce([np.uint64(1 << decision.names.index(name)) for name in measure.reasons])
    return np.where(decision.is_kept, 0, np.where((decision.reasons & bits) > 0, 1, 2))


def _errors(rows: pa.Table, decision: Decision, rules: DecisionConfig) -> Counter[str]:
    is_out = pa.array(decision.verdict == QUARANTINED)
    found: Counter[str] = Counter()
    for name in rules.quarantine.columns:
        texts = rows[name].filter(is_out).drop_null()
        found.update(f"{name}: {text.partition(':')[0]}" for text in texts.to_pylist())
    return found
