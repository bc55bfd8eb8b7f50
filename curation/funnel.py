"""How many rows came in, how many stayed, and where the others went, category by category.

A row with several reasons is counted under the first of them, so that a line adds up. Beside that stands how many rows each
reason applies to at all (``any``), and for how many it is the only one (``only``): what lifting it could bring back at most, as
duplicates and quotas are asked of the rows that pass everything before them.

n rows · c categories · k kinds of counts · r reasons, the first of which stands for none
"""

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from curation.tables import QUARANTINING, REASONS
from curation.verdict import VERDICTS, Decision

ALL = "all"
"""Name of the last line, which sums up the others."""

NONE = "(none)"
"""Name of the line of rows without a category."""

BY_REASON = ("any", "only")
"""Columns that hold one count for each reason."""


class Counting:
    """Counts the rows of one decision batch after batch.

    Args:
        reasons: all that a row may have, in the order of the bits of `Decision.reasons`.
    """

    def __init__(self, reasons: tuple[str, ...]) -> None:
        self._reasons = reasons
        self._counts: dict[str, Int64[np.ndarray, "k r"]] = {}

    def add(self, categories: pa.ChunkedArray, decision: Decision) -> None:
        """Count more rows: the text of each (null for none), and what was decided."""
        assert decision.names == self._reasons, (decision.names, self._reasons)
        encoded = categories.combine_chunks().fill_null("").dictionary_encode()
        names = encoded.dictionary.to_pylist()
        found = _counts(np.asarray(encoded.indices, np.int64), decision, num_categories=len(names))
        for name, counts in zip(names, found, strict=True):
            self._counts[name or NONE] = self._counts.get(name or NONE, 0) + counts

    def table(self) -> pa.Table:
        """Funnel: one line a category in alphabetical order and one line `ALL`."""
        total = sum(self._counts.values(), np.zeros((len(VERDICTS) + 2, len(self._reasons) + 1), np.int64))
        named = [*sorted(self._counts.items()), (ALL, total)]
        lines = [{"category": name, **_line(counts, self._reasons)} for name, counts in named]
        table = pa.Table.from_pylist(lines, schema=schema_of(self._reasons))
        check(table)
        return table


def count(categories: pa.ChunkedArray, decision: Decision) -> pa.Table:
    """The funnel of a decision whose rows are all there.

    Args:
        categories: text of every row.
    """
    counting = Counting(decision.names)
    counting.add(categories, decision)
    return counting.table()


def schema_of(reasons: tuple[str, ...]) -> pa.Schema:
    """A funnel's columns: ``category``, ``rows``, each verdict, each first reason, and ``any`` and ``only`` by reason."""
    by_reason = [pa.field(name, pa.int64()) for name in reasons]
    counts = [pa.field(name, pa.int64()) for name in ("rows", *VERDICTS)]
    return pa.schema(
        [pa.field("category", pa.string()), *counts, *by_reason, *(pa.field(name, pa.struct(by_reason)) for name in BY_REASON)]
    )


def check(funnel: pa.Table) -> None:
    """Assert that every line adds up: rows = kept + dropped + quarantined, as many first reasons as rows not kept, and
    none more often first than at all, or alone than first.
    """
    for line in funnel.to_pylist():
        assert line["rows"] == line["kept"] + line["dropped"] + line["quarantined"], line
        assert line["rows"] - line["kept"] == sum(line[reason] for reason in reasons_in(funnel)), line
        for reason in reasons_in(funnel):
            assert line["only"][reason] <= line[reason] <= line["any"][reason], (reason, line)


def in_words(funnel: pa.Table) -> str:
    """The last line as a phrase: "1,101 kept, 12 dropped (8 duplicate_near, 4 blank), 7 quarantined (7 unreadable)"."""
    line = funnel.to_pylist()[-1]
    parts = [f"{line['kept']:,} kept"]
    dropping = [reason for reason in reasons_in(funnel) if reason not in QUARANTINING]
    for verdict, reasons in (("dropped", dropping), ("quarantined", QUARANTINING)):
        if line[verdict]:
            named = ", ".join(f"{line[reason]:,} {reason}" for reason in reasons if line.get(reason))
            parts.append(f"{line[verdict]:,} {verdict} ({named})")
    return ", ".join(parts)


def as_metrics(funnel: pa.Table, stage: str) -> dict[str, float]:
    """The last line as metrics, for example ``curate/kept_images``, and of each reason ``curate/blank_only_images``, too.

    Reasons that apply to no row are left out.
    """
    line = funnel.to_pylist()[-1]
    reasons = [reason for reason in reasons_in(funnel) if line["any"][reason]]
    only = {f"{stage}/{name}_only_images": float(line["only"][name]) for name in reasons}
    return {**{f"{stage}/{name}_images": float(line[name]) for name in (*VERDICTS, *reasons)}, **only}


def with_all_reasons(funnel: pa.Table) -> pa.Table:
    """The same funnel with a column for each of `tables.REASONS`, in their order, as stored beside the standing verdicts."""
    zeros = dict.fromkeys(REASONS, 0)
    lines = [{**zeros, **line, **{name: {**zeros, **line[name]} for name in BY_REASON}} for line in funnel.to_pylist()]
    return pa.Table.from_pylist(lines, schema=schema_of(REASONS))


def reasons_in(funnel: pa.Table) -> list[str]:
    """Reasons that a funnel has columns for, in the order in which they are applied."""
    return [field.name for field in funnel.schema.field("any").type]


def _line(counts: Int64[np.ndarray, "k r"], reasons: tuple[str, ...]) -> dict[str, int | dict[str, int]]:
    by_verdict, (has, alone) = counts[: len(VERDICTS)], counts[len(VERDICTS) :, 1:].tolist()
    verdicts = dict(zip(VERDICTS, by_verdict.sum(axis=1).tolist(), strict=True))
    firsts = dict(zip(reasons, by_verdict.sum(axis=0).tolist()[1:], strict=True))
    beside = {"any": dict(zip(reasons, has, strict=True)), "only": dict(zip(reasons, alone, strict=True))}
    return {"rows": int(by_verdict.sum()), **verdicts, **firsts, **beside}


def _counts(codes: Int64[np.ndarray, "n"], decision: Decision, *, num_categories: int) -> Int64[np.ndarray, "c k r"]:
    """By category: rows of each verdict by first reason, then rows by reason, then rows with no reason but this one."""
    num_reasons, verdicts = len(decision.names) + 1, decision.verdict.astype(np.int64)
    shape = (num_categories, len(VERDICTS) + 2, num_reasons)
    is_alone = np.bitwise_count(decision.reasons) == 1
    places = [np.ravel_multi_index((codes, verdicts, decision.first_reason + 1), shape)]
    for place in range(num_reasons - 1):
        rows = (decision.reasons >> np.uint64(place)) & np.uint64(1) > 0
        for line, counted in ((len(VERDICTS), rows), (len(VERDICTS) + 1, rows & is_alone)):
            places.append(np.ravel_multi_index((codes[counted], line, place + 1), shape))
    return np.bincount(np.concatenate(places), minlength=int(np.prod(shape))).reshape(shape)
