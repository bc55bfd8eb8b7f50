"""Small charts as inline SVG, coloured by the page's style sheet so that light and dark both work; no script, no library.

Chosen over matplotlib: its SVG is fifty times larger, brings its own fonts and cannot follow the reader's colour scheme.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

from eval.markup import Markup

_WIDTH, _HEIGHT = 360, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 8, 36
_BOUND_PX = 24
"""Above the bars, for labels of bounds."""
_MOST_POINTS = 240


class Series(NamedTuple):
    """One line."""

    name: str
    points: tuple[tuple[float, float], ...]
    """(x, y), x increasing."""


class Chart(NamedTuple):
    """Lines over one x axis."""

    title: str
    note: str
    series: tuple[Series, ...]
    x_label: str
    has_log_scale: bool
    """Whether y is drawn by its logarithm; values that are not positive are then left out."""


class Mark(NamedTuple):
    """One value with its interval on a shared scale."""

    kind: str
    """Style-sheet class: whose value it is."""
    label: str
    value: float
    low: float
    high: float


class Bound(NamedTuple):
    """A value on the x axis that something is held against."""

    value: float
    label: str
    """"" for a line alone."""


class Bars(NamedTuple):
    """How often numbers occur, in stacked groups."""

    title: str
    edges: tuple[float, ...]
    """Borders of the bars, one more than there are bars, increasing."""
    counts: tuple[tuple[int, ...], ...]
    """For each bar, its groups from the bottom up."""
    groups: tuple[str, ...]
    """Names of the groups; the style sheet colours them by their place."""
    bounds: tuple[Bound, ...]
    """Those beyond the axis are not drawn."""
    is_log: bool
    """Whether x is drawn by its logarithm."""


class _Scale(NamedTuple):
    """From values to pixels."""

    low: float
    high: float
    start_px: float
    end_px: float
    is_log: bool

    def __call__(self, value: float) -> float:
        low, high, at = (math.log10(each) if self.is_log else each for each in (self.low, self.high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start_px + share * (self.end_px - self.start_px)


def lines(chart: Chart) -> Markup:
    """The chart as SVG: every series faint as measured and strong as its running mean; "" when there is nothing to draw."""
    shown = [_drawable(series, is_log=chart.has_log_scale) for series in chart.series]
    points = [point for series in shown for point in series.points]
    if not points:
        return Markup()
    y_low, y_high = _trimmed([y for _, y in points])
    span = [float(at) for series in chart.series for at, _ in series.points]
    x = _Scale(min(span), max(span), _LEFT, _WIDTH - _RIGHT, is_log=False)
    y = _Scale(y_low, y_high, _HEIGHT - _BOTTOM, _TOP, is_log=chart.has_log_scale)
    parts = [*_y_axis(y), *_x_axis(x, chart.x_label)]
    for number, series in enumerate(shown):
        smooth = _running_mean([value for _, value in series.points])
        means = list(zip((at for at, _ in series.points), smooth, strict=True))
        parts.append(f'<path class="raw s{number}" d="{_path(series.points, x, y)}"/>')
        parts.append(f'<path class="line s{number}" d="{_path(means, x, y)}"/>')
    label = escape(f"{chart.title}: {', '.join(series.name for series in chart.series)}", quote=True)
    return Markup(f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>')


def bars(chart: Bars) -> Markup:
    """The chart as SVG: stacked bars, and dashed lines where the bounds are."""
    low, high = chart.edges[0], chart.edges[-1]
    x = _Scale(low, high, _LEFT, _WIDTH - _RIGHT, is_log=chart.is_log)
    y = _Scale(0.0, float(max(map(sum, chart.counts), default=0) or 1), _HEIGHT - _BOTTOM, _TOP + _BOUND_PX, is_log=False)
    parts = [*_y_axis(y), *_x_axis(x, "")]
    for counts, (left, right) in zip(chart.counts, pairwise(chart.edges), strict=True):
        parts.append(_bar(counts, chart.groups, x, y, left=left, right=right))
    parts += _bounds([bound for bound in chart.bounds if low <= bound.value <= high], x)
    held = "".join(f", {bound.label}" for bound in chart.bounds if bound.label)
    label = escape(f"{chart.title}: {sum(map(sum, chart.counts)):,} rows from {number(low)} to {number(high)}{held}", quote=True)
    return Markup(f'<svg class="bars" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>')


def strip(marks: Sequence[Mark], *, low: float, high: float) -> Markup:
    """Values with whiskers on one line from `low` to `high`; the last mark is drawn on top."""
    scale = _Scale(low, high, 6, 194, is_log=False)
    parts = ['<line class="rule" x1="6" y1="12" x2="194" y2="12"/>']
    for mark in marks:
        at, left, right = (scale(min(max(value, low), high)) for value in (mark.value, mark.low, mark.high))
        title = f"<title>{escape(mark.label)}: {number(mark.value)} ({number(mark.low)} to {number(mark.high)})</title>"
        whisker = f'<line x1="{left:.1f}" y1="12" x2="{right:.1f}" y2="12"/>'
        parts.append(f'<g class="mark {mark.kind}">{title}{whisker}<circle cx="{at:.1f}" cy="12" r="4.5"/></g>')
    return Markup(f'<svg class="strip" viewBox="0 0 200 24" role="img" aria-label="values on one scale">{"".join(parts)}</svg>')


def number(value: float) -> str:
    """A number for people: three significant digits, at most three after the point, thousands apart."""
    if not math.isfinite(value):
        return "–"
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 3)}f}"


def _drawable(series: Series, *, is_log: bool) -> Series:
    """Finite (and positive) points, averaged in runs when there are more than a line can show."""
    points = [(float(x), float(y)) for x, y in series.points if math.isfinite(y) and (y > 0 or not is_log)]
    run = max(1, math.ceil(len(points) / _MOST_POINTS))
    groups = [points[start : start + run] for start in range(0, len(points), run)]
    return Series(series.name, tuple((_mean(x for x, _ in group), _mean(y for _, y in group)) for group in groups))


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def _trimmed(values: Sequence[float]) -> tuple[float, float]:
    """Range of the values without the highest hundredth: one spike must not flatten the rest."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)))]
    return (low, high) if high > low else (low * 0.9 - 1e-6 * (low == 0), high * 1.1 + 1e-6 * (high == 0))


def _running_mean(values: Sequence[float], reach: int = 6) -> list[float]:
    windows = (values[max(0, at - reach) : at + reach + 1] for at in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _path(points: Sequence[tuple[float, float]], x: _Scale, y: _Scale) -> str:
    inside = ((at, min(max(value, y.low), y.high)) for at, value in points)
    return "M" + "L".join(f"{x(at):.1f},{y(value):.1f}" for at, value in inside)


def _bar(counts: Sequence[int], groups: Sequence[str], x: _Scale, y: _Scale, *, left: float, right: float) -> str:
    """One bar; a group is never too thin to be seen."""
    if not any(counts):
        return ""
    start, width, top = x(left), max(x(right) - x(left) - 0.7, 0.7), y(0.0)
    pieces = []
    for place, count in enumerate(counts):
        if count:
            height = max(y(0.0) - y(float(count)), 1.2)
            top -= height
            pieces.append(f'<rect class="g{place}" x="{start:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"/>')
    said = ", ".join(f"{count:,} {group}" for count, group in zip(counts, groups, strict=True) if count)
    return f"<g><title>{number(left)} to {number(right)}: {escape(said)}</title>{''.join(pieces)}</g>"


def _bounds(shown: Sequence[Bound], x: _Scale) -> list[str]:
    """Dashed lines with a label at their head, on the side where there is room."""
    parts = []
    for place, bound in enumerate(sorted(shown, key=lambda one: one.value)):
        at, is_late = x(bound.value), x(bound.value) > (_LEFT + _WIDTH) / 2
        row = _TOP + 7 + 11 * (place % 2)
        anchor = f'x="{at - 4 if is_late else at + 4:.1f}" y="{row}" text-anchor="{"end" if is_late else "start"}"'
        line = f'<line class="bound" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        text = f'<text class="bound" {anchor}>{escape(bound.label)}</text>' if bound.label else ""
        parts.append(line + text)
    return parts


def _y_axis(y: _Scale) -> list[str]:
    marks = _log_ticks(y.low, y.high) if y.is_log else _ticks(y.low, y.high)
    return [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(at):.1f}" y2="{y(at):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y(at) + 4:.1f}" text-anchor="end">{_tick_text(at)}</text>'
        for at in marks
    ]


def _x_axis(x: _Scale, label: str) -> list[str]:
    texts = [
        f'<text x="{x(at):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{_tick_text(at)}</text>'
        for at in (_log_ticks(x.low, x.high) if x.is_log else _ticks(x.low, x.high))
    ]
    return [*texts, f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">{escape(label)}</text>']


def _ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values inside the range, at most about `most`."""
    rough = (high - low) / most
    if rough <= 0:
        return [low]
    power = 10 ** math.floor(math.log10(rough))
    step = next(float(factor * power) for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    return [count * step for count in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if high / low > 1e3 else (1, 2, 5)
    found = [factor * 10.0**decade for decade in decades for factor in factors if low <= factor * 10.0**decade <= high]
    return found[:: -(-len(found) // 8)] if len(found) > 1 else _ticks(low, high, most=4)


def _tick_text(value: float) -> str:
    """At most five signs: "1,500", "20k", "1.5M"."""
    for least, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= least:
            return f"{value / unit:.3g}{letter}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
