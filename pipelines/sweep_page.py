"""The page of a sweep: every variant on a line, what each leaf keeps, how the selections overlap, who entered and who left."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from curation.comparison import Difference, Summary
from eval.charts import number
from eval.document import Document, Section, about, html, stack, table
from eval.markup import Markup, tag
from eval.page_tables import duration
from eval.report import Tile

_MOST_LEAVES = 30
_CELL_PX = 22
_STYLE = """
td.leaf { white-space: nowrap; }
td.heat { text-align: center; padding: 5px 8px; font-size: 12.5px; }
td.heat { background: color-mix(in srgb, var(--accent) var(--share), transparent); }
.ids { font-size: 12px; color: var(--soft); white-space: normal; max-width: 340px; overflow-wrap: anywhere; }
tr.first td { background: var(--accent-soft); }
svg.matrix { display: block; padding: 14px; } svg.matrix text { font-size: 10.5px; }
svg.matrix .one { fill: var(--accent); }
th.turned { vertical-align: bottom; }
"""


class Compared(NamedTuple):
    """One variant, beside the first."""

    number: int
    settings: tuple[tuple[str, str], ...]
    summary: Summary
    difference: Difference
    seconds: float


def page(variants: Sequence[Compared], overlaps: Float64[np.ndarray, "v v"]) -> str:
    """The whole document; the first variant is what the others are compared with."""
    first = variants[0].summary
    title = f"{len(variants):,} ways to decide over {first.counts['rows']:,} rows"
    sections = (
        Section("variants", "Variants", _variants(variants)), Section("leaves", "Kept by leaf", _leaves(variants)),
        Section("overlap", "Overlap", _matrix(variants, overlaps)),
        Section("differences", "Entered and left", _differences(variants)),
    )  # fmt: skip
    lead = "Columns were read once and no picture was opened. Every row is kept, dropped for named reasons, or quarantined."
    return html(Document(title, lead, _tiles(variants), sections, notes=()), style=_STYLE)


def _tiles(variants: Sequence[Compared]) -> tuple[Tile, ...]:
    kept = [one.summary.counts["kept"] for one in variants]
    seconds = [one.seconds for one in variants]
    num_different = len({one.summary.digest for one in variants})
    return (
        Tile("Kept", f"{min(kept):,} – {max(kept):,}", f"of {variants[0].summary.counts['rows']:,} rows", "plain"),
        Tile("Quarantined", f"{variants[0].summary.counts['quarantined']:,}", "by the first variant", "plain"),
        Tile("Time", duration(sum(seconds)), f"{number(sum(seconds) / len(seconds))} s a variant", "plain"),
        Tile("Selections", f"{num_different:,}", "that differ in any row, reason or weight", "plain"),
    )


def _variants(variants: Sequence[Compared]) -> Markup:
    paths = [path for path, _ in variants[0].settings]
    heads = ["", *(path.removeprefix("drop.") for path in paths), "kept", "share", "dropped", "leaves", "clusters", "time"]
    rows = []
    for one in variants:
        counts = one.summary.counts
        share = counts["kept"] / max(counts["rows"], 1)
        cells = (f"{counts['kept']:,}", stack([("kept", share)]), f"{counts['dropped']:,}", number(one.summary.effective_leaves),
                 f"{one.summary.effective_clusters:,.0f}", f"{one.seconds:.2f} s")  # fmt: skip
        settings = (tag("td", value) for _, value in one.settings)
        rows.append(
            tag("tr", tag("td", f"#{one.number}", title=one.summary.digest), *settings, *(tag("td", cell) for cell in cells),
                class_="first" if one is variants[0] else "")
        )  # fmt: skip
    meaning = (
        "Leaves and clusters are effective numbers: the exponential of the entropy of the kept rows, so that many as were filled "
        "equally would be as diverse. Clusters are those of the loosest setting of duplicates. The first variant is shaded."
    )
    return about(meaning, table(_heads(heads), rows))


def _leaves(variants: Sequence[Compared]) -> Markup:
    """One row a leaf, one column a variant, for the leaves that change most and for no more variants than fit."""
    shown = variants[:: max(1, -(-len(variants) // 24))]
    leaves = variants[0].summary.kept_by_leaf
    kept = {leaf: [one.summary.kept_by_leaf.get(leaf, 0) for one in shown] for leaf in leaves}
    ordered = sorted(kept, key=lambda leaf: (min(kept[leaf]) - max(kept[leaf]), leaf))[:_MOST_LEAVES]
    rows = []
    for leaf in ordered:
        most = max(*kept[leaf], 1)
        cells = (tag("td", f"{count:,}", class_="heat", style=f"--share:{60 * count / most:.0f}%") for count in kept[leaf])
        rows.append(tag("tr", tag("td", leaf or "(none)", class_="leaf"), *cells))
    counted = f"{len(ordered):,} of {len(leaves):,} leaves, those that change most first"
    left_out = "" if len(shown) == len(variants) else f"; {len(shown)} of {len(variants)} variants, evenly spaced"
    heads = _heads(["leaf", *(f"#{one.number}" for one in shown)])
    return about(f"Rows kept: {counted}{left_out}.", table(heads, rows))


def _matrix(variants: Sequence[Compared], overlaps: Float64[np.ndarray, "v v"]) -> Markup:
    """Jaccard indices as squares; the stronger the colour, the more rows two variants share."""
    size = max(8, min(_CELL_PX, 1000 // len(variants)))
    left = 44
    lowest = float(overlaps.min())
    parts = []
    for row, ours in enumerate(variants):
        if row % max(1, 14 // size) == 0:
            at = left + row * size + size / 2
            parts.append(f'<text x="{left - 6}" y="{at - left + 24:.0f}" text-anchor="end">#{ours.number}</text>')
        for column, theirs in enumerate(variants):
            share = float(overlaps[row, column])
            strength = 0.08 + 0.92 * ((share - lowest) / (1 - lowest) if lowest < 1 else 1)
            title = f"#{ours.number} and #{theirs.number}: {share:.3f}"
            place = f'x="{left + column * size}" y="{20 + row * size}" width="{size - 1}" height="{size - 1}"'
            parts.append(f'<rect class="one" {place} opacity="{strength:.2f}"><title>{title}</title></rect>')
    width, height = left + size * len(variants) + 8, 28 + size * len(variants)
    frame = f'width="{width}" viewBox="0 0 {width} {height}" role="img" aria-label="overlap"'
    svg = f'<svg class="matrix" {frame}>{"".join(parts)}</svg>'
    meaning = f"Jaccard index of the kept rows of each two variants, from {lowest:.3f} (faint) to 1 (full)."
    return about(meaning, tag("div", Markup(svg), class_="card scroll"))


def _differences(variants: Sequence[Compared]) -> Markup:
    rows = [
        tag("tr", tag("td", f"#{one.number}"), tag("td", f"{one.difference.entered:,}"), _ids(one.difference.entered_ids),
            tag("td", f"{one.difference.left:,}"), _ids(one.difference.left_ids))
        for one in variants[1:]
    ]  # fmt: skip
    if not rows:
        return tag("p", "One variant: nothing to compare.")
    meaning = "Rows that a variant keeps and the first does not, and the other way round, with some of their ids."
    return about(meaning, table(_heads(["", "entered", "for example", "left", "for example"]), rows))


def _ids(ids: Sequence[str]) -> Markup:
    return tag("td", ", ".join(ids), class_="left ids")


def _heads(names: Sequence[str]) -> list[Markup]:
    return [tag("th", name, class_="left" if name == "for example" else "") for name in names]
