"""The report of a chain as one HTML file: pictures as data URIs, charts as inline SVG.

Light and dark follow the reader's setting.
"""

import base64
from collections.abc import Iterable, Sequence

from eval.charts import Chart, lines
from eval.document import Document, Section, html, keys
from eval.markup import Markup, joined, tag
from eval.page_tables import funnel_table, score_table, stage_table
from eval.report import Command, Comparison, Example, Fact, Gallery, Report

_LEAST_WIDTH_PX = {2: 190, 3: 250, 4: 330}
"""Of an example, by its number of pictures; 410 for more."""

_LINE_COLOURS = ("var(--accent)", "var(--warm)", "var(--blue)", "var(--faint)")


def page(report: Report) -> str:
    """The whole page; sections without content are left out."""
    return html(Document(report.title, report.subtitle, report.tiles, tuple(_sections(report)), report.notes))


def _sections(report: Report) -> list[Section]:
    pictures = [Section(f"pictures-{index}", each.title, _gallery(each)) for index, each in enumerate(report.galleries)]
    return [
        *pictures,
        Section("numbers", "Numbers", score_table(report.scores)),
        Section("comparison", "Beside another model", _comparison(report.comparison)),
        Section("training", "Training", _charts(report.charts)),
        Section("data", "Data", funnel_table(report.funnel)),
        Section("stages", "Time and size", stage_table(report.stages)),
        Section("lineage", "Lineage", _lineage(report.lineage)),
        Section("next", "How to go on", _commands(report.commands)),
    ]


def _comparison(comparison: Comparison | None) -> Markup:
    if comparison is None:
        return Markup()
    shown = (joined([tag("h3", each.title), _gallery(each)]) for each in comparison.galleries)
    return joined([tag("p", comparison.note), score_table(comparison.scores), *shown])


def _gallery(gallery: Gallery) -> Markup:
    if not gallery.examples:
        return Markup()
    least = _LEAST_WIDTH_PX.get(len(gallery.heads), 410)
    columns = f"grid-template-columns:repeat(auto-fill,minmax(min({least}px,100%),1fr))"
    examples = tag("div", *(_example(each, gallery) for each in gallery.examples), class_="examples", style=columns)
    return joined([tag("p", gallery.note), examples])


def _example(example: Example, gallery: Gallery) -> Markup:
    cells = (
        tag("div", _picture(picture, head), tag("span", head), class_="cell result" if place == gallery.result else "cell")
        for place, (picture, head) in enumerate(zip(example.pictures, gallery.heads, strict=True))
    )
    row = tag("div", *cells, class_="row", style=f"grid-template-columns:repeat({len(gallery.heads)},1fr)")
    state = "" if example.is_hit is None else "good" if example.is_hit else "bad"
    mark = tag("span", example.mark, class_=f"chip {state}") if example.mark else ""
    return tag("figure", row, tag("figcaption", example.caption, " ", mark), class_="card example")


def _picture(picture: bytes | None, head: str) -> Markup:
    if picture is None:
        return Markup()
    return tag("img", alt=head, loading="lazy", src=f"data:image/png;base64,{base64.b64encode(picture).decode()}")


def _charts(charts: Iterable[Chart]) -> Markup:
    drawn = [(chart, svg) for chart in charts if (svg := lines(chart))]
    if not drawn:
        return Markup()
    cards = (
        tag("div", tag("h3", chart.title), tag("div", chart.note, class_="small"), svg, _legend(chart), class_="card chart")
        for chart, svg in drawn
    )
    return joined([tag("p", "Faint as measured, strong as a running mean."), tag("div", *cards, class_="charts")])


def _legend(chart: Chart) -> Markup:
    return keys([(series.name, colour) for series, colour in zip(chart.series, _LINE_COLOURS, strict=False)])


def _lineage(facts: Sequence[Fact]) -> Markup:
    if not facts:
        return Markup()
    values = (tag("dd", tag("code", fact.value), tag("div", fact.note, class_="small")) for fact in facts)
    rows = [joined([tag("dt", fact.label), value]) for fact, value in zip(facts, values, strict=True)]
    return joined([tag("p", "From the bundle back to its sources."), tag("dl", *rows, class_="card")])


def _commands(commands: Sequence[Command]) -> Markup:
    if not commands:
        return Markup()
    rows = (tag("div", tag("code", each.command), tag("span", each.purpose, class_="small")) for each in commands)
    return tag("div", *rows, class_="card commands")
