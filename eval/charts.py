"""Small charts as inline SVG, coloured by the page's style sheet so that light and dark both work; no script, no library.

Chosen over matplotlib: its SVG is fifty times larger, brings its own fonts and cannot follow the reader's colour scheme.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from eval.markup import Markup

_WIDTH, _HEIGHT = 360, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 8, 36
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
        for at in _ticks(x.low, x.high)
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
    return found if len(found) > 1 else _ticks(low, high, most=4)


def _tick_text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
