"""Charts as pixels: one function a kind of chart, on a figure of its own (no pyplot, no state but the font list)."""

from functools import cache
from random import Random
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import UInt8
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from matplotlib.transforms import BboxBase
from matplotlib.typing import RcKeyType

from curation.captions.vocabulary import Words
from curation.knowledge.chart_tables import Category, Grid, Points, Samples, Series
from curation.knowledge.fonts import FONTS, Font, Language
from curation.knowledge.geometry import Box, Px
from curation.knowledge.sample import Element

ChartKind = Literal["bar", "horizontal_bar", "pie", "line", "scatter", "histogram", "box", "heat_map"]
Table = Category | Series | Points | Samples | Grid

_PALETTES: tuple[tuple[Words, tuple[str, ...]], ...] = (
    (Words("blue and orange", "蓝橙"), ("#2f6db5", "#e8833a", "#4fa66b", "#c94f5c", "#8a63b3", "#7d6049", "#d77fb8")),
    (Words("pastel", "柔和"), ("#7fb3d5", "#f5b183", "#a3d9a5", "#f1948a", "#c3a6d8", "#f7dc6f", "#aab7b8")),
    (Words("dark", "深色"), ("#1b4f72", "#943126", "#186a3b", "#7d6608", "#4a235a", "#5d4037", "#283747")),
    (Words("bright", "鲜艳"), ("#0077ff", "#ff5a1f", "#00a878", "#d7263d", "#8338ec", "#c78a00", "#e01e84")),
)
_GROUNDS: tuple[tuple[str, str], ...] = (
    ("#ffffff", "#222222"),
    ("#ffffff", "#222222"),
    ("#f7f5ef", "#2b2b2b"),
    ("#1f2430", "#eceff4"),
)
"""Background and text colours."""
_THINNEST_LABELLED_SLICE = 0.1
_SIZES_IN: tuple[tuple[Px, Px], ...] = ((4, 3), (5, 3.2), (4.2, 4.2), (6, 4))


class Style(NamedTuple):
    """How a chart looks, independent of what it shows."""

    language: Language
    font: Font
    palette: Words
    colours: tuple[str, ...]
    ground: str
    ink: str
    size_in: tuple[Px, Px]
    dpi: int
    has_grid: bool
    has_values: bool

    @property
    def is_dark(self) -> bool:
        """Whether the background is dark."""
        return self.ground == _GROUNDS[-1][0]

    def word(self, words: Words) -> str:
        """Words in the chart's language."""
        return words.en if self.language == "en" else words.zh


def style(stream: Random) -> Style:
    """A look at random."""
    language: Language = stream.choice(("en", "zh"))
    families = (
        ("Noto Sans SC", "Noto Serif SC")
        if language == "zh"
        else ("DejaVu Sans", "DejaVu Serif", "Noto Sans SC", "Noto Serif SC")
    )
    palette, colours = stream.choice(_PALETTES)
    ground, ink = stream.choice(_GROUNDS)
    if ground == _GROUNDS[-1][0] and palette.en == "dark":
        palette, colours = _PALETTES[1]
    family = stream.choice(families)
    return Style(
        language, next(font for font in FONTS if font.family == family), palette, colours, ground, ink,
        stream.choice(_SIZES_IN), stream.choice((80, 100, 128, 160)), stream.random() < 0.5, stream.random() < 0.6,
    )  # fmt: skip


def plot(kind: ChartKind, table: Table, look: Style) -> tuple[UInt8[np.ndarray, "y x 3"], tuple[Element, ...]]:
    """The chart as pixels, with the boxes of its plot area and of every text on it but the numbers of the axes."""
    _make_known(look.font)
    settings: dict[RcKeyType, object] = {
        "font.family": look.font.family, "axes.unicode_minus": False, "text.color": look.ink, "axes.labelcolor": look.ink,
        "xtick.color": look.ink, "ytick.color": look.ink, "axes.edgecolor": look.ink, "axes.facecolor": look.ground,
        "figure.facecolor": look.ground, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 12, "font.size": 9,
        "grid.color": look.ink, "grid.alpha": 0.15, "legend.frameon": False, "axes.axisbelow": True,
    }  # fmt: skip
    with rc_context(settings):
        figure = Figure(figsize=look.size_in, dpi=look.dpi, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_title(_wrapped(look.word(table.title), 44 if look.language == "en" else 22), pad=8)
        if look.has_grid and kind not in ("pie", "heat_map"):
            axes.grid(axis="x" if kind == "horizontal_bar" else "y")
        _draw(kind, table, look, axes)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
        return pixels, _elements(axes, height_px=pixels.shape[0])


def shown(value: Px) -> str:
    """A number as charts and captions write it: at most five digits before and one or two after the point."""
    if value == round(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _draw(kind: ChartKind, table: Table, look: Style, axes: Axes) -> None:
    match kind, table:
        case (("bar" | "horizontal_bar"), Category()):
            _bars(table, look, axes, is_horizontal=kind == "horizontal_bar")
        case "pie", Category():
            _pie(table, look, axes)
        case "line", Series():
            _lines(table, look, axes)
        case "scatter", Points():
            _scatter(table, look, axes)
        case "histogram", Samples():
            _histogram(table, look, axes)
        case "box", Samples():
            _boxes(table, look, axes)
        case "heat_map", Grid():
            _heat_map(table, look, axes)
        case _:
            raise AssertionError(f"a {kind} chart cannot show a {type(table).__name__}")


def _bars(table: Category, look: Style, axes: Axes, *, is_horizontal: bool) -> None:
    labels = [_wrapped(look.word(label), 12 if look.language == "en" else 6) for label in table.labels]
    places = range(len(labels))
    colours = [look.colours[0]] * len(labels) if not table.is_whole else list(look.colours[: len(labels)])
    bars = (axes.barh if is_horizontal else axes.bar)(places, table.values, color=colours)
    if is_horizontal:
        axes.set_yticks(places, labels)
        axes.invert_yaxis()
        axes.set_xlabel(look.word(table.unit))
    else:
        axes.set_xticks(places, labels)
        axes.set_ylabel(look.word(table.unit))
        if max(len(label) for label in labels) * len(labels) > 44 and look.language == "en":
            axes.tick_params(axis="x", labelsize=7, rotation=40)
    if look.has_values:
        axes.bar_label(bars, [shown(value) for value in table.values], padding=2, fontsize=8)
        axes.margins(x=0.14 if is_horizontal else None, y=None if is_horizontal else 0.14)


def _pie(table: Category, look: Style, axes: Axes) -> None:
    total = sum(table.values)
    names = [f"{look.word(label)} {100 * value / total:.0f}%" for label, value in zip(table.labels, table.values, strict=True)]
    is_thin = min(table.values) / total < _THINNEST_LABELLED_SLICE
    labels = None if is_thin else [name.replace(" ", "\n") if look.language == "zh" else name for name in names]
    wedges = axes.pie(table.values, labels=labels, colors=look.colours, startangle=90, counterclock=False)[0]
    if is_thin:  # neighbouring labels would overlap: a legend names all
        axes.legend(wedges, names, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _lines(table: Series, look: Style, axes: Axes) -> None:
    for place, (name, values) in enumerate(zip(table.names, table.values, strict=True)):
        mark = "o" if len(values) <= 16 else ""
        axes.plot(
            range(len(values)),
            values,
            color=look.colours[place],
            label=look.word(name),
            linewidth=1.8,
            marker=mark,
            markersize=3.5,
        )
    step = max(1, -(-len(table.ticks) // 8))
    places = range(0, len(table.ticks), step)
    axes.set_xticks(places, [table.ticks[place] for place in places], rotation=30 if len(table.ticks[0]) > 4 else 0)
    axes.set_ylabel(look.word(table.unit))
    axes.set_xlabel(look.word(table.axis))
    axes.set_ylim(bottom=0)
    if len(table.names) > 1:
        axes.legend(loc="best")


def _scatter(table: Points, look: Style, axes: Axes) -> None:
    marks = "os^D"
    for place, (group, points) in enumerate(zip(table.groups, table.points, strict=True)):
        x, y = zip(*points, strict=True)
        axes.scatter(x, y, s=16, color=look.colours[place], marker=marks[place], label=look.word(group), alpha=0.8, linewidths=0)
    axes.set_xlabel(look.word(table.x))
    axes.set_ylabel(look.word(table.y))
    if len(table.groups) > 1:
        axes.legend(loc="best")


def _histogram(table: Samples, look: Style, axes: Axes) -> None:
    low, high = min(map(min, table.values)), max(map(max, table.values))
    bins = np.linspace(low, high, 17).tolist()
    for place, (group, values) in enumerate(zip(table.groups, table.values, strict=True)):
        alpha = 1.0 if len(table.groups) == 1 else 0.6
        axes.hist(
            values,
            bins=bins,
            color=look.colours[place],
            alpha=alpha,
            label=look.word(group),
            edgecolor=look.ground,
            linewidth=0.5,
        )
    axes.set_xlabel(look.word(table.unit))
    axes.set_ylabel("Count" if look.language == "en" else "频数")
    if len(table.groups) > 1:
        axes.legend(loc="best")


def _boxes(table: Samples, look: Style, axes: Axes) -> None:
    drawn = axes.boxplot([list(values) for values in table.values], patch_artist=True, widths=0.5)
    for part in ("whiskers", "caps", "medians"):
        for line in drawn[part]:
            line.set_color(look.ink)
    for place, patch in enumerate(drawn["boxes"]):
        patch.set(facecolor=look.colours[place], edgecolor=look.ink)
    for flier in drawn["fliers"]:
        flier.set(marker="o", markersize=3, markeredgecolor=look.ink)
    axes.set_xticks(range(1, len(table.groups) + 1), [look.word(group) for group in table.groups])
    axes.set_ylabel(look.word(table.unit))


def _heat_map(table: Grid, look: Style, axes: Axes) -> None:
    values = np.array(table.values)
    shades = axes.imshow(values, cmap="viridis" if look.is_dark else "YlGnBu", aspect="auto")
    axes.set_xticks(range(len(table.columns)), [_wrapped(look.word(words), 10) for words in table.columns], fontsize=7)
    axes.set_yticks(range(len(table.rows)), [look.word(words) for words in table.rows], fontsize=7)
    axes.figure.colorbar(shades, ax=axes, label=look.word(table.unit))
    axes.spines[:].set_visible(False)
    if not look.has_values:
        return
    middle = (values.max() + values.min()) / 2
    for y, x in np.ndindex(values.shape):
        is_light = (values[y, x] < middle) != look.is_dark
        axes.text(x, y, f"{values[y, x]:.0f}", ha="center", va="center", fontsize=6, color="#111111" if is_light else "#ffffff")


def _elements(axes: Axes, *, height_px: int) -> tuple[Element, ...]:
    legend = axes.get_legend()
    texts: list[Text] = [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts, *(legend.get_texts() if legend else ())]
    texts += [label for label in (*axes.get_xticklabels(), *axes.get_yticklabels()) if not _is_number(label.get_text())]
    found = [Element(kind="plot", text="", box=_flipped(axes.get_window_extent(), height_px))]
    for text in texts:
        if text.get_text():
            box = _flipped(text.get_window_extent(), height_px)
            found.append(Element(kind="text", text=text.get_text().replace("\n", " "), box=box))
    return tuple(found)


def _flipped(extents: BboxBase, height_px: int) -> Box:
    left, bottom, right, top = (round(value, 1) for value in (extents.x0, extents.y0, extents.x1, extents.y1))
    return (left, height_px - top, right, height_px - bottom)


def _is_number(text: str) -> bool:
    return text.replace(".", "").replace("-", "").isdigit() or not text


def _wrapped(text: str, width: int) -> str:
    """Broken at blanks, or anywhere in Chinese, into lines of at most `width` characters where that is possible."""
    pieces = text.split(" ") if " " in text else list(text) if not text.isascii() else [text]
    joint = " " if " " in text else ""
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + len(joint) + len(piece) <= width:
            lines[-1] += joint + piece
        else:
            lines.append(piece)
    return "\n".join(lines)


@cache
def _make_known(font: Font) -> None:
    fontManager.addfont(str(font.path))
