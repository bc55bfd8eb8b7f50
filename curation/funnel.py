"""How many rows came in, how many stayed, and where the others went, category by category.

A row with several reasons is counted under the first of them, so that a line adds up.
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


def count(categories: pa.ChunkedArray, decision: Decision) -> pa.Table:
    """Funnel: one line a category in alphabetical order and one line `ALL`, with ``rows``, each verdict and each first reason.

    Args:
        categories: text of every row.
    """
    encoded = categories.combine_chunks().fill_null("").dictionary_encode()
    named = [(name or NONE, code) for code, name in enumerate(encoded.dictionary.to_pylist())]
    counts = _counts(np.asarray(encoded.indices, np.int64), decision, num_categories=len(named))
    lines = [{"category": name, **counts_of_line(counts[code], decision.names)} for name, code in sorted(named)]
    lines.append({"category": ALL, **counts_of_line(counts.sum(axis=0), decision.names)})
    table = pa.Table.from_pylist(lines, schema=schema_of(decision.names))
    check(table)
    return table


def schema_of(reasons: tuple[str, ...]) -> pa.Schema:
    """Columns of a funnel with these reasons."""
    counts = [pa.field(name, pa.int64()) for name in ("rows", *VERDICTS, *reasons)]
    return pa.schema([pa.field("category", pa.string()), *counts])


def counts_of_line(counts: Int64[np.ndarray, "v r"], reasons: tuple[str, ...]) -> dict[str, int]:
    """One line: verdicts summed over first reasons, and first reasons over verdicts; the first column is of rows without one."""
    verdicts = dict(zip(VERDICTS, counts.sum(axis=1).tolist(), strict=True))
    return {"rows": int(counts.sum()), **verdicts, **dict(zip(reasons, counts.sum(axis=0).tolist()[1:], strict=True))}


def check(funnel: pa.Table) -> None:
    """Assert that every line adds up: rows = kept + dropped + quarantined, and as many first reasons as rows not kept."""
    for line in funnel.to_pylist():
        assert line["rows"] == line["kept"] + line["dropped"] + line["quarantined"], line
        assert line["rows"] - line["kept"] == sum(line[reason] for reason in _reasons(funnel)), line


def in_words(funnel: pa.Table) -> str:
    """The last line as a phrase: "1,101 kept, 12 dropped (8 duplicate_near, 4 blank), 7 quarantined (7 unreadable)"."""
    line = funnel.to_pylist()[-1]
    parts = [f"{line['kept']:,} kept"]
    dropping = [reason for reason in _reasons(funnel) if reason not in QUARANTINING]
    for verdict, reasons in (("dropped", dropping), ("quarantined", QUARANTINING)):
        if line[verdict]:
            named = ", ".join(f"{line[reason]:,} {reason}" for reason in reasons if line.get(reason))
            parts.append(f"{line[verdict]:,} {verdict} ({named})")
    return ", ".join(parts)


def as_metrics(funnel: pa.Table, stage: str) -> dict[str, float]:
    """The last line as metrics, for example ``curate/kept_images``; reasons that apply to no row are left out."""
    line = funnel.to_pylist()[-1]
    shown = (*VERDICTS, *(reason for reason in _reasons(funnel) if line[reason]))
    return {f"{stage}/{name}_images": float(line[name]) for name in shown}


def with_all_reasons(funnel: pa.Table) -> pa.Table:
    """The same funnel with a column for each of `tables.REASONS`, in their order, as stored beside the standing verdicts."""
    zeros = pa.array(np.zeros(funnel.num_rows, np.int64))
    columns = {name: funnel[name] if name in funnel.schema.names else zeros for name in schema_of(REASONS).names}
    return pa.table(columns, schema=schema_of(REASONS))


def _counts(codes: Int64[np.ndarray, "n"], decision: Decision, *, num_categories: int) -> Int64[np.ndarray, "c v r"]:
    """Rows by category, verdict and first reason, the first of which stands for none."""
    shape = (num_categories, len(VERDICTS), len(decision.names) + 1)
    flat = np.ravel_multi_index((codes, decision.verdict.astype(np.int64), decision.first_reason + 1), shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)


def _reasons(funnel: pa.Table) -> list[str]:
    return [name for name in funnel.schema.names if name not in ("category", "rows", *VERDICTS)]
