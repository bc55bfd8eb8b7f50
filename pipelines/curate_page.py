"""The page of `curate`: reasons, leaves, numbers with their limits, pictures of what stays and what goes, costs."""

import base64
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import unescape
from typing import NamedTuple

import yaml

from curation.costs import BILLION
from curation.dedup.nearest import Nearest
from curation.funnel import ALL
from curation.histograms import Histogram, Limit, Measure
from curation.predicates import in_words
from curation.review import Review, Sampled
from curation.tables import QUARANTINING, TableRef
from curation.verdict import DUPLICATES, OVER_QUOTA, OVER_REPRESENTED, DecisionConfig
from eval.charts import Bars, Bound, bars, number
from eval.document import Document, Section, about, keys, stack, table
from eval.markup import Markup, joined, tag
from eval.page_tables import funnel_table
from eval.report import FunnelLine, Tile
from pipelines.cost_section import Spent, cost_section

_SHOWN_ID = re.compile(r' data-id="([^"]*)"')
MOST_LEAVES = 24
"""Leaves that are shown at once, those with the most rows first."""
_MOST_NAMED = 3
"""Leaves with limits of their own that are named one by one."""
_GROUPS = (
    ("kept", "var(--accent)"), ("gone by a rule that reads it", "var(--warm)"), ("gone for another reason", "var(--faint)")
)  # fmt: skip
STYLE = """
.thumbs { display: grid; grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); gap: 10px; padding: 14px; }
.thumbs.pairs { grid-template-columns: repeat(auto-fill, minmax(212px, 1fr)); }
.thumbs figure { margin: 0; min-width: 0; }
.thumbs .row { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 4px; }
.thumbs img, .thumbs .gap { width: 100%; aspect-ratio: 1; object-fit: contain; display: block; background: #fff;
  border-radius: 6px; outline: 1px solid #00000014; outline-offset: -1px; }
.thumbs .gap { background: var(--bar); }
.thumbs figcaption { font-size: 11px; line-height: 1.35; color: var(--soft); margin-top: 4px; overflow-wrap: anywhere; }
.thumbs figcaption b { font-weight: 560; color: var(--ink); display: block; overflow: hidden;
  white-space: nowrap; text-overflow: ellipsis; direction: rtl; text-align: left; }
section > p.small { margin: 10px 0 0; font-size: 13px; }
.group { margin-top: 14px; } .group h3 { margin: 0 0 6px; }
.group h3 span { color: var(--soft); font-weight: 400; font-size: 13px; }
td.rule { white-space: normal; color: var(--soft); font-size: 13px; min-width: 220px; }
td.detail { white-space: normal; overflow-wrap: anywhere; font-size: 12.5px; color: var(--soft); min-width: 260px; }
details { margin-top: 14px; } summary { cursor: pointer; color: var(--soft); font-size: 14px; margin-bottom: 8px; }
pre { margin: 0; padding: 14px 18px; font: 12px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-x: auto; }
"""


class Shown(NamedTuple):
    """What is known of a row that is shown."""

    thumbnail: bytes | None
    """WebP; None when there is no picture to show."""
    values: Mapping[str, float]
    """By `Measure.name`; NaN for a missing one."""
    errors: Mapping[str, str]
    """By column."""
    winner: Nearest | None
    """The kept row that it resembles most, for duplicates."""


def document(
    found: Review, rules: DecisionConfig, images: TableRef, *, shown: Mapping[str, Shown], spent: Spent | None
) -> Document:
    """The whole page.

    Args:
        shown: by id, the sampled rows and their winners.
    """
    lines = found.funnel.to_pylist()
    sections = (
        Section("reasons", "Reasons", _reasons(lines[-1], rules)),
        Section("leaves", "Leaves", _leaves(lines)),
        Section("numbers", "Numbers", _numbers(found)),
        Section("kept", "Kept", _kept(found, lines, shown)),
        Section("dropped", "Dropped", _dropped(found, lines[-1], shown)),
        Section("quarantined", "Quarantined", _quarantined(found, lines[-1], shown)),
        Section("costs", "Costs", cost_section(spent)),
        Section("rules", "Rules", _recipe(rules)),
    )  # fmt: skip
    lead = f"{images.uri} at version {images.version}. Every row is kept, dropped for named reasons, or quarantined."
    return Document(f"Curation of {lines[-1]['rows']:,} rows", lead, _tiles(lines[-1], spent), sections, notes=())


def shows(page: str, ids: Collection[str]) -> bool:
    """Whether a page that was made here shows one of the rows."""
    return not {unescape(one) for one in _SHOWN_ID.findall(page)}.isdisjoint(ids)


def funnel_lines(lines: Sequence[Mapping]) -> tuple[FunnelLine, ...]:
    """Lines of a funnel (`curation.funnel`) as a page shows them."""
    return tuple(
        FunnelLine(
            line["category"], line["rows"], line["kept"], line["dropped"], line["quarantined"],
            {reason: line[reason] for reason in line["any"] if line[reason]},
        )
        for line in lines
    )  # fmt: skip


def _tiles(total: Mapping, spent: Spent | None) -> tuple[Tile, ...]:
    def share(name: str) -> str:
        return f"{total[name] / max(total['rows'], 1):.1%} of all rows"

    verdicts = tuple(
        Tile(title, f"{total[name]:,}", share(name), "plain")
        for name, title in (("kept", "Kept"), ("dropped", "Dropped"), ("quarantined", "Quarantined"))
    )
    if spent is None:
        return (*verdicts, Tile("Measuring", "–", "no run on record has measured", "plain"))
    note = f"{spent.costs.cpu_hours(BILLION):,.0f} CPU hours for 10⁹ rows"
    return (*verdicts, Tile("Measuring", f"{number(spent.costs.ms_a_row)} ms", f"of CPU a row; {note}", "plain"))


def _reasons(total: Mapping, rules: DecisionConfig) -> Markup:
    words = {one.reason: in_words(one) for one in rules.drop}
    rows = []
    for reason, num_any in total["any"].items():
        if num_any:
            counts = (f"{one:,}" for one in (total[reason], num_any, total["only"][reason]))
            kind = "quarantined" if reason in QUARANTINING else "dropped"
            bar = stack([(kind, total[reason] / max(total["rows"], 1))])
            rows.append(
                tag("tr", tag("td", _spaced(reason)), tag("td", words.get(reason, _MEANINGS.get(reason, "")), class_="rule left"),
                    *(tag("td", one) for one in counts), tag("td", bar, class_="wide"))
            )  # fmt: skip
    if not rows:
        return tag("p", "Every row is kept.")
    heads = (tag("th", "reason"), tag("th", "rule", class_="left"), *(tag("th", name) for name in ("first", "any", "only")),
             tag("th", "first, of all rows", class_="left"))  # fmt: skip
    meaning = (
        "A row may go for several reasons. First: rows counted under this reason, so that the column adds up to all that go. "
        "Any: rows it applies to. Only: rows with no other reason, which is what lifting it could bring back at most, since "
        "duplicates and quotas are asked of rows that pass the rest. Quarantined rows are asked nothing else."
    )
    return about(meaning, table(heads, rows))


def _leaves(lines: Sequence[Mapping]) -> Markup:
    """The largest leaves, those that keep nothing, and every reason in every leaf."""
    (*leaves, total) = lines
    largest = sorted(leaves, key=lambda line: -line["rows"])[:MOST_LEAVES]
    starved = [line["category"] for line in leaves if line["rows"] and not line["kept"]]
    parts = [funnel_table(funnel_lines([*largest, total]))]
    if len(largest) < len(leaves):
        parts.append(
            tag("p", f"The {len(largest):,} largest of {len(leaves):,} leaves; all of them stand below.", class_="small")
        )
    if starved:
        named = ", ".join(starved[:MOST_LEAVES]) + (", …" if len(starved) > MOST_LEAVES else "")
        parts.append(tag("p", f"Nothing is kept of {len(starved):,} leaves: {named}.", class_="small"))
    return joined([*parts, _by_leaf_and_reason(lines)])


def _by_leaf_and_reason(lines: Sequence[Mapping]) -> Markup:
    reasons = [reason for reason, num in lines[-1]["any"].items() if num]
    if not reasons:
        return Markup()
    rows = []
    for line in lines:
        cells = (_three_counts(line, reason) for reason in reasons)
        share = f"{line['kept'] / max(line['rows'], 1):.0%}"
        kept = tag("td", f"{line['kept']:,}", tag("span", share, class_="small"))
        rows.append(tag("tr", tag("td", line["category"]), kept, *cells, class_="sum" if line["category"] == ALL else ""))
    heads = (tag("th", "leaf"), tag("th", "kept"), *(tag("th", _spaced(reason)) for reason in reasons))
    said = "every reason in every leaf: first, and below it any · only"
    return tag("details", tag("summary", said), table(heads, rows), open="open" if len(lines) <= 12 else "")


def _three_counts(line: Mapping, reason: str) -> Markup:
    num_any = line["any"][reason]
    if not num_any:
        return tag("td", "")
    return tag("td", f"{line[reason]:,}", tag("span", f"{num_any:,} · {line['only'][reason]:,}", class_="small"))


def _numbers(found: Review) -> Markup:
    if not found.histograms:
        return Markup()
    cards = (
        tag("div", tag("h3", measure.name), tag("div", _note(measure, histogram), class_="small"),
            bars(_chart(measure, histogram)), class_="card chart")
        for measure, histogram in found.histograms
    )  # fmt: skip
    meaning = "Every number that a rule holds against a limit, over all rows that have it. Upwards: rows; dashed: limits."
    return about(meaning, keys(_GROUPS), tag("div", *cards, class_="charts", style="margin-top:12px"))


def _note(measure: Measure, histogram: Histogram) -> str:
    parts = [_limit_in_words(limit) for limit in measure.limits if not limit.leaf]
    by_leaf = [f"{_short(limit.value)} for {limit.leaf}" for limit in measure.limits if limit.leaf]
    parts += [f"other limits for {len(by_leaf)} leaves"] if len(by_leaf) > _MOST_NAMED else by_leaf
    parts.append(f"from {_short(histogram.low)} to {_short(histogram.high)}")
    beyond = histogram.low < histogram.edges[0] or histogram.high > histogram.edges[-1]
    parts += ["the outermost bars hold all beyond"] if beyond else []
    parts += [f"{histogram.num_missing:,} rows without"] if histogram.num_missing else []
    return " · ".join(parts)


def _chart(measure: Measure, histogram: Histogram) -> Bars:
    own = [limit for limit in measure.limits if limit.leaf]
    labels = {limit.value: f"{limit.leaf}: {_short(limit.value)}" if len(own) <= _MOST_NAMED else "" for limit in own}
    labels |= {limit.value: _limit_in_words(limit) for limit in measure.limits if not limit.leaf}
    bounds = tuple(Bound(value, label) for value, label in labels.items())
    edges, counts = histogram.edges.tolist(), tuple(map(tuple, histogram.counts.tolist()))
    return Bars(measure.name, tuple(edges), counts, tuple(name for name, _ in _GROUPS), bounds, histogram.is_log)


def _kept(found: Review, lines: Sequence[Mapping], shown: Mapping[str, Shown]) -> Markup:
    if not found.kept:
        return Markup()
    num_leaves = sum(line["kept"] > 0 for line in lines if line["category"] != ALL)
    counts = {line["category"]: line["kept"] for line in lines}
    groups = [_group(leaf, f"{counts[leaf]:,} kept", samples, shown) for leaf, samples in found.kept.items()]
    among = "every leaf" if num_leaves == len(groups) else f"the {len(groups):,} largest of {num_leaves:,} leaves"
    meaning = f"Some kept rows of {among}, drawn by their ids: none is picked by its looks."
    return about(meaning, *groups)


def _dropped(found: Review, total: Mapping, shown: Mapping[str, Shown]) -> Markup:
    reasons = [reason for reason in total["any"] if found.gone.get(reason) and reason not in QUARANTINING]
    if not reasons:
        return Markup()
    meaning = {measure.name: measure.reasons for measure, _ in found.histograms}
    groups = [
        _group(_spaced(reason), f"first for {total[reason]:,}, any {total['any'][reason]:,}, only {total['only'][reason]:,}",
               found.gone[reason], shown, numbers=[name for name, reasons in meaning.items() if reason in reasons])
        for reason in reasons
    ]  # fmt: skip
    said = "Rows by their first reason, drawn by their ids. Beside a duplicate stands the kept picture that it resembles most."
    return about(said, *groups)


def _group(
    title: str, note: str, samples: Iterable[Sampled], shown: Mapping[str, Shown], *, numbers: Sequence[str] = ()
) -> Markup:
    figures = [_figure(sampled, shown, numbers) for sampled in samples]
    is_paired = any(shown[sampled.id].winner for sampled in samples)
    grid = tag("div", *figures, class_="thumbs pairs card" if is_paired else "thumbs card")
    return tag("div", tag("h3", title, " ", tag("span", note)), grid, class_="group")


def _figure(sampled: Sampled, shown: Mapping[str, Shown], numbers: Sequence[str]) -> Markup:
    own = shown[sampled.id]
    pictures = [picture_of(sampled.id, own, "dropped" if sampled.reasons else "kept")]
    words = [f"{name} {_short(own.values[name])}" for name in numbers if math.isfinite(own.values[name])]
    words += [_spaced(reason) for reason in sampled.reasons[1:]]
    if own.winner is not None:
        pictures.append(picture_of(own.winner.id, shown[own.winner.id], "kept"))
        alike = "the same file" if own.winner.bits < 0 else f"{own.winner.bits} bits of the hash apart"
        words.append(f"kept: {own.winner.id}, {alike}")
    caption = tag("figcaption", tag("b", tag("bdi", sampled.id), title=sampled.id), " · ".join(words))
    return tag("figure", tag("div", *pictures, class_="row"), caption)


def picture_of(row_id: str, own: Shown, state: str) -> Markup:
    """The thumbnail of a row; `shows` finds it again."""
    if own.thumbnail is None:
        return tag("div", class_="gap", data_id=row_id, role="img", aria_label=f"{state}, no picture to show: {row_id}")
    data = f"data:image/webp;base64,{base64.b64encode(own.thumbnail).decode()}"
    return tag("img", alt=f"{state}: {row_id}", loading="lazy", data_id=row_id, src=data)


def _quarantined(found: Review, total: Mapping, shown: Mapping[str, Shown]) -> Markup:
    reasons = [reason for reason in QUARANTINING if found.gone.get(reason)]
    if not reasons:
        return Markup()
    rows = [
        tag("tr", tag("td", _spaced(reason)), tag("td", sampled.id, class_="left detail"),
            tag("td", _details(shown[sampled.id].errors), class_="left detail"), data_id=sampled.id)
        for reason in reasons
        for sampled in found.gone[reason]
    ]  # fmt: skip
    counted = ", ".join(f"{total[reason]:,} {_spaced(reason)}" for reason in reasons)
    classes = ", ".join(f"{name} ({num:,})" for name, num in found.errors.items())
    meaning = f"{counted}. Errors by column and class: {classes or 'none'}. A sample of each:"
    return about(
        meaning, table((tag("th", "reason"), *(tag("th", name, class_="left") for name in ("row", "what was seen"))), rows)
    )


def _details(errors: Mapping[str, str]) -> str:
    """What was seen, once for all columns that say the same."""
    columns: dict[str, list[str]] = {}
    for column, text in errors.items():
        columns.setdefault(text, []).append(column)
    return (
        "; ".join(f"{text} ({', '.join(names)})" for text, names in columns.items())
        or "a value that the rules ask for is missing"
    )


def _recipe(rules: DecisionConfig) -> Markup:
    text = yaml.safe_dump(rules.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return tag("details", tag("summary", "the recipe, as it was run"), tag("div", tag("pre", text), class_="card"))


_MEANINGS: Mapping[str, str] = {
    "unreadable": "bytes missing, cut short, or not a picture",
    "too_large": "more pixels than the decoder accepts",
    "failed": "a signal raised",
    "crashed": "a signal took its worker with it, or took too long",
    "taken_down": "what was taken down is kept out",
    "unmeasured": "a value that the rules ask for is missing",
    DUPLICATES[0]: "another row has the same file",
    DUPLICATES[1]: "another row looks the same",
    OVER_REPRESENTED: "there is too much of its kind",
    OVER_QUOTA: "beyond the most rows of its leaf",
}


def _limit_in_words(limit: Limit) -> str:
    return f"at {limit.side} {_short(limit.value)}"


def _short(value: float) -> str:
    """Three digits, whole numbers without a point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _spaced(name: str) -> str:
    return name.replace("_", " ")
