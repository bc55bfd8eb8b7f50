"""Charts of real tables: bars, pies, lines, scatter plots, histograms, boxes and heat maps, in English or Chinese.

Captions say what the data say: extremes, trends from end to end, correlations, medians. They are computed from the same numbers
that are drawn, so a caption cannot disagree with its picture.
"""

import statistics
from random import Random
from typing import NamedTuple

from curation.captions.vocabulary import Words
from curation.knowledge.chart_plots import ChartKind, Style, Table, plot, shown, style
from curation.knowledge.chart_tables import (
    ATTRIBUTION,
    CATEGORIES,
    GRIDS,
    POINTS,
    SAMPLES,
    SERIES,
    WHOLES,
    Category,
    Grid,
    Points,
    Samples,
    Series,
)
from curation.knowledge.draws import draws
from curation.knowledge.sample import Captions, Fact, KnowledgeSample, Truth, load_of

_NAMES: dict[ChartKind, Words] = {
    "bar": Words("bar chart", "柱状图"), "horizontal_bar": Words("horizontal bar chart", "横向条形图"), "pie": Words("pie chart", "饼图"),
    "line": Words("line chart", "折线图"), "scatter": Words("scatter plot", "散点图"), "histogram": Words("histogram", "直方图"),
    "box": Words("box plot", "箱线图"), "heat_map": Words("heat map", "热力图"),
}  # fmt: skip


_LEAVES: dict[ChartKind, str] = {
    "bar": "bar_chart", "horizontal_bar": "bar_chart", "pie": "pie_chart", "line": "line_chart", "scatter": "scatter_plot",
    "histogram": "distribution", "box": "distribution", "heat_map": "heat_map",
}  # fmt: skip


class _Said(NamedTuple):
    """What a table says in both languages: the gist, and all of it."""

    gist: Words
    detail: Words
    facts: tuple[Fact, ...]


def draw(seed: int, index: int) -> KnowledgeSample:
    """One chart."""
    stream = draws("charts", seed, index)
    kind: ChartKind = stream.choice(tuple(_NAMES))
    table = _table(stream, kind)
    look = style(stream)
    pixels, elements = plot(kind, table, look)
    said = _said(kind, table)
    height, width = pixels.shape[:2]
    return KnowledgeSample(
        id=f"charts/{seed}/{index}",
        pixels=pixels,
        captions_en=_captions_en(kind, table, look, said),
        captions_zh=_captions_zh(kind, table, look, said),
        truth=Truth(elements=elements, facts=(Fact(name="chart", value=kind), *said.facts)),
        load=load_of(elements, width_px=width, height_px=height),
        concept=f"chart/{table.title.en}",
        leaf=f"charts/{_LEAVES[kind]}",
        licence="BSD-3-Clause",
        attribution=ATTRIBUTION,
    )


def _table(stream: Random, kind: ChartKind) -> Table:
    match kind:
        case "bar" | "horizontal_bar":
            return stream.choice(CATEGORIES)(stream)
        case "pie":
            return stream.choice(WHOLES)(stream)
        case "line":
            return stream.choice(SERIES)(stream)
        case "scatter":
            return stream.choice(POINTS)(stream)
        case "histogram" | "box":
            return stream.choice(SAMPLES)(stream)
        case "heat_map":
            return stream.choice(GRIDS)(stream)


def _said(kind: ChartKind, table: Table) -> _Said:
    match table:
        case Category():
            return _said_of_parts(table) if kind == "pie" else _said_of_bars(table)
        case Series():
            return _said_of_series(table)
        case Points():
            return _said_of_points(table)
        case Samples():
            return _said_of_samples(table)
        case Grid():
            return _said_of_grid(table)


def _said_of_bars(table: Category) -> _Said:
    pairs = list(zip(table.labels, table.values, strict=True))
    (top, most), (bottom, least) = max(pairs, key=lambda pair: pair[1]), min(pairs, key=lambda pair: pair[1])
    gist = Words(
        f"{top.en} is highest with {shown(most)} and {bottom.en} lowest with {shown(least)}",
        f"{top.zh}最高，为{shown(most)}，{bottom.zh}最低，为{shown(least)}",
    )
    facts = tuple(Fact(name=label.en, value=value) for label, value in pairs)
    return _Said(gist, _listed(pairs, table.unit), facts)


def _said_of_parts(table: Category) -> _Said:
    total = sum(table.values)
    pairs = list(zip(table.labels, table.values, strict=True))
    top, most = max(pairs, key=lambda pair: pair[1])
    share = f"{100 * most / total:.0f}%"
    gist = Words(f"{top.en} is the largest share with {share}", f"{top.zh}占比最大，为{share}")
    parts = [(label, f"{100 * value / total:.0f}%") for label, value in pairs]
    detail = Words(
        ", ".join(f"{label.en} {part}" for label, part in parts), "，".join(f"{label.zh}{part}" for label, part in parts)
    )
    return _Said(gist, detail, tuple(Fact(name=label.en, value=value) for label, value in pairs))


def _listed(pairs: list[tuple[Words, float]], unit: Words) -> Words:
    return Words(
        f"{', '.join(f'{label.en} {shown(value)}' for label, value in pairs)} ({unit.en})",
        f"{'，'.join(f'{label.zh}{shown(value)}' for label, value in pairs)}（{unit.zh}）",
    )


def _said_of_series(table: Series) -> _Said:
    trends = [_trend(table, place) for place in range(len(table.names))]
    facts = tuple(
        Fact(name=f"{name.en} {tick}", value=value)
        for name, values in zip(table.names, table.values, strict=True)
        for tick, value in zip(table.ticks, values, strict=True)
    )
    joined = Words("; ".join(trend.en for trend in trends), "；".join(trend.zh for trend in trends))
    peaks = [(name, max(zip(values, table.ticks, strict=True))) for name, values in zip(table.names, table.values, strict=True)]
    detail = Words(
        joined.en + "; " + ", ".join(f"the peak of {name.en} is {shown(value)} in {tick}" for name, (value, tick) in peaks),
        joined.zh + "；" + "，".join(f"{name.zh}的峰值是{_when_zh(tick)}的{shown(value)}" for name, (value, tick) in peaks),
    )
    return _Said(trends[0] if len(trends) == 1 else joined, detail, facts)


def _trend(table: Series, place: int) -> Words:
    name, values = table.names[place], table.values[place]
    first, last = values[0], values[-1]
    change = (last - first) / max(abs(first), 1e-9)
    verb = (
        Words("stays near the same,", "基本持平，")
        if abs(change) < 0.05
        else Words("rises", "上升，")
        if change > 0
        else Words("falls", "下降，")
    )
    return Words(
        f"{name.en} {verb.en} from {shown(first)} in {table.ticks[0]} to {shown(last)} in {table.ticks[-1]}",
        f"{name.zh}{verb.zh}从{_when_zh(table.ticks[0])}的{shown(first)}到{_when_zh(table.ticks[-1])}的{shown(last)}",
    )


def _when_zh(tick: str) -> str:
    return f"{tick}年" if tick.isdigit() else tick


def _said_of_points(table: Points) -> _Said:
    every = [point for points in table.points for point in points]
    r = statistics.correlation([x for x, _ in every], [y for _, y in every])
    size = "no clear" if abs(r) < 0.2 else "a weak" if abs(r) < 0.5 else "a strong" if abs(r) > 0.8 else "a moderate"
    size_zh = {"no clear": "无明显", "a weak": "弱", "a moderate": "中等", "a strong": "强"}[size]
    sign = Words("", "") if abs(r) < 0.2 else Words(" positive", "正") if r > 0 else Words(" negative", "负")
    gist = Words(
        f"{table.y.en} against {table.x.en}, with {size}{sign.en} correlation (r = {r:.2f})",
        f"横轴为{table.x.zh}，纵轴为{table.y.zh}，呈{size_zh}{sign.zh}相关（r = {r:.2f}）",
    )
    counts = Words(
        ", ".join(f"{len(points)} points of {group.en}" for group, points in zip(table.groups, table.points, strict=True)),
        "，".join(f"{group.zh}{len(points)}个点" for group, points in zip(table.groups, table.points, strict=True)),
    )
    return _Said(
        gist, Words(f"{gist.en}; {counts.en}", f"{gist.zh}；{counts.zh}"), (Fact(name="correlation", value=round(r, 4)),)
    )


def _said_of_samples(table: Samples) -> _Said:
    medians = [(group, statistics.median(values)) for group, values in zip(table.groups, table.values, strict=True)]
    (top, most), (bottom, _) = max(medians, key=lambda pair: pair[1]), min(medians, key=lambda pair: pair[1])
    detail = Words(
        ", ".join(f"{group.en} has a median of {shown(value)}" for group, value in medians) + f" ({table.unit.en})",
        "，".join(f"{group.zh}的中位数为{shown(value)}" for group, value in medians) + f"（{table.unit.zh}）",
    )
    facts = tuple(Fact(name=f"median {group.en}", value=round(value, 4)) for group, value in medians)
    if len(medians) == 1:
        return _Said(Words(f"{top.en} has a median of {shown(most)}", f"{top.zh}的中位数为{shown(most)}"), detail, facts)
    gist = Words(f"the median is highest for {top.en} and lowest for {bottom.en}", f"{top.zh}的中位数最高，{bottom.zh}最低")
    return _Said(gist, detail, facts)


def _said_of_grid(table: Grid) -> _Said:
    cells = [(value, row, column) for row, line in zip(table.rows, table.values, strict=True)
             for column, value in zip(table.columns, line, strict=True)]  # fmt: skip
    top, bottom = max(cells, key=lambda cell: cell[0]), min(cells, key=lambda cell: cell[0])
    gist = Words(
        f"the highest cell is {top[1].en} at {top[2].en} with {shown(top[0])}, the lowest {bottom[1].en} at {bottom[2].en} with {shown(bottom[0])}",
        f"最高的格子是{top[1].zh}、{top[2].zh}，为{shown(top[0])}，最低的是{bottom[1].zh}、{bottom[2].zh}，为{shown(bottom[0])}",
    )
    detail = Words(
        f"{len(table.rows)} rows by {len(table.columns)} columns; {gist.en} ({table.unit.en})",
        f"{len(table.rows)}行{len(table.columns)}列；{gist.zh}（{table.unit.zh}）",
    )
    return _Said(gist, detail, tuple(Fact(name=f"{row.en} / {column.en}", value=value) for value, row, column in cells))


def _captions_en(kind: ChartKind, table: Table, look: Style, said: _Said) -> Captions:
    name = _NAMES[kind].en
    title = table.title.en if look.language == "en" else table.title.zh
    titled = f'titled "{title}"' if look.language == "en" else f'with the Chinese title "{title}" ({table.title.en})'
    ground = "on a dark background" if look.is_dark else "on a light background"
    colours = "" if kind == "heat_map" else f" in {look.palette.en} colours"
    return Captions(
        f'{name} "{title}"',
        f"A {name} {titled}: {said.gist.en}.",
        f"A {name} {titled},{colours} {ground}. {said.detail.en[:1].upper()}{said.detail.en[1:]}.",
    )


def _captions_zh(kind: ChartKind, table: Table, look: Style, said: _Said) -> Captions:
    name = _NAMES[kind].zh
    title = table.title.en if look.language == "en" else table.title.zh
    titled = f"标题为“{title}”的" if look.language == "zh" else f"英文标题为“{title}”（{table.title.zh}）的"
    ground = "深色背景" if look.is_dark else "浅色背景"
    colours = "" if kind == "heat_map" else f"{look.palette.zh}配色，"
    return Captions(
        f"{name}“{title}”",
        f"{titled}{name}：{said.gist.zh}。",
        f"{titled}{name}，{colours}{ground}。{said.detail.zh}。",
    )
