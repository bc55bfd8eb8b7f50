"""The report as one HTML file: pictures as data URIs, charts as inline SVG, no script, no request to anywhere.

Light and dark follow the reader's setting.
"""

import base64
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from eval.charts import Chart, lines
from eval.markup import Markup, joined, tag
from eval.page_tables import funnel_table, keys, score_table, stage_table
from eval.report import Command, Example, Fact, Gallery, Report, Tile

_LEAST_WIDTH_PX = {2: 190, 3: 250}
"""Of an example, by its number of pictures; 330 for more."""

_LINE_COLOURS = ("var(--accent)", "var(--warm)", "var(--blue)", "var(--faint)")


class _Section(NamedTuple):
    """One part of the page."""

    anchor: str
    title: str
    body: Markup


def write(report: Report, path: Path) -> None:
    """Write the page, beside its place first: a file that exists is whole."""
    beside = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(page(report), encoding="utf-8")
    beside.replace(path)


def page(report: Report) -> str:
    """The whole document; sections without content are left out."""
    sections = [section for section in _sections(report) if section.body]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", report.title),
        tag("link", rel="icon", href="data:,"),     # else browsers ask for one
        tag("style", Markup(files("eval").joinpath("page.css").read_text(encoding="utf-8"))),
    )
    tiles = tag("div", *map(_tile, report.tiles), class_="tiles")
    body = tag(
        "body",
        tag("header", tag("h1", report.title), tag("p", report.subtitle, class_="lead"), tiles),
        tag("nav", tag("div", *(tag("a", each.title, href=f"#{each.anchor}") for each in sections))),
        tag("main", *(tag("section", tag("h2", each.title), each.body, id=each.anchor) for each in sections)),
        tag("footer", *(tag("p", note) for note in report.notes)),
    )
    return f"<!doctype html>{tag('html', head, body, lang='en')}\n"


def _sections(report: Report) -> list[_Section]:
    pictures = [_Section(f"pictures-{index}", each.title, _gallery(each)) for index, each in enumerate(report.galleries)]
    return [
        *pictures,
        _Section("numbers", "Numbers", score_table(report.scores)),
        _Section("training", "Training", _charts(report.charts)),
        _Section("data", "Data", funnel_table(report.funnel)),
        _Section("stages", "Time and size", stage_table(report.stages)),
        _Section("lineage", "Lineage", _lineage(report.lineage)),
        _Section("next", "How to go on", _commands(report.commands)),
    ]


def _tile(tile: Tile) -> Markup:
    parts = (tag("div", text, class_=name) for name, text in (("label", tile.label), ("value", tile.value), ("note", tile.note)))
    return tag("div", *parts, class_=f"card tile {tile.state}")


def _gallery(gallery: Gallery) -> Markup:
    if not gallery.examples:
        return Markup()
    least = _LEAST_WIDTH_PX.get(len(gallery.heads), 330)
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
