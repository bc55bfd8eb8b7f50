"""How many rows came in, how many stayed, and where the others went, category by category.

A row with several reasons is counted under the first of them (the order of `tables.REASONS`), so that a line adds up.
"""

from collections import Counter

import pyarrow as pa

from curation.tables import QUARANTINING, REASONS

ALL = "all"
"""Name of the last line, which sums up the others."""

FUNNEL_SCHEMA = pa.schema(
    [
        pa.field("category", pa.string()),
        pa.field("rows", pa.int64()),
        pa.field("kept", pa.int64()),
        pa.field("dropped", pa.int64()),
        pa.field("quarantined", pa.int64()),
        *(pa.field(reason, pa.int64()) for reason in REASONS),
    ]
)


def count(rows: pa.Table) -> pa.Table:
    """Funnel (FUNNEL_SCHEMA), one line a category in alphabetical order and one line `ALL`.

    Args:
        rows: table with `category`, `verdict` and `verdict_reasons`, every verdict filled in.
    """
    lines: dict[str, Counter[str]] = {}
    total: Counter[str] = Counter()
    columns = (rows[name].to_pylist() for name in ("category", "verdict", "verdict_reasons"))
    for category, verdict, reasons in zip(*columns, strict=True):
        counted = ["rows", verdict, *(reasons or [])[:1]]
        lines.setdefault(category or "(none)", Counter()).update(counted)
        total.update(counted)
    table = pa.Table.from_pylist(
        [_line(category, lines[category]) for category in sorted(lines)] + [_line(ALL, total)], schema=FUNNEL_SCHEMA
    )
    check(table)
    return table


def check(funnel: pa.Table) -> None:
    """Assert that every line adds up: rows = kept + dropped + quarantined, and as many first reasons as rows not kept."""
    for line in funnel.to_pylist():
        assert line["rows"] == line["kept"] + line["dropped"] + line["quarantined"], line
        assert line["rows"] - line["kept"] == sum(line[reason] for reason in REASONS), line


def in_words(funnel: pa.Table) -> str:
    """The last line as a phrase: "1,101 kept, 12 dropped (8 duplicate_near, 4 blank), 7 quarantined (unreadable)"."""
    line = funnel.to_pylist()[-1]
    parts = [f"{line['kept']:,} kept"]
    for verdict, reasons in (("dropped", REASONS[len(QUARANTINING) :]), ("quarantined", QUARANTINING)):
        if line[verdict]:
            named = ", ".join(f"{line[reason]:,} {reason}" for reason in reasons if line[reason])
            parts.append(f"{line[verdict]:,} {verdict} ({named})")
    return ", ".join(parts)


def as_metrics(funnel: pa.Table, stage: str) -> dict[str, float]:
    """The last line as metrics, for example ``curate/kept_images``; reasons that apply to no row are left out."""
    line = funnel.to_pylist()[-1]
    shown = ("kept", "dropped", "quarantined", *(reason for reason in REASONS if line[reason]))
    return {f"{stage}/{name}_images": float(line[name]) for name in shown}


def _line(category: str, counts: Counter[str]) -> dict[str, str | int]:
    numbers = {field.name: counts[field.name] for field in FUNNEL_SCHEMA if field.name != "category"}
    return {"category": category, **numbers}
