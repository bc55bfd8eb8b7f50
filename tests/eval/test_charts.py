import math
import re
from xml.etree import ElementTree

import pytest

from eval.charts import Bars, Bound, Chart, Mark, Series, bars, lines, number, strip


def chart(*points: tuple[float, float], is_log: bool = False) -> Chart:
    return Chart('loss <of> "x"', "", (Series("a & b", points),), "step", is_log)


def heights(svg: str) -> list[float]:
    path = next(each for each in ElementTree.fromstring(svg).iter("path") if each.get("class") == "raw s0")
    return [float(y) for y in re.findall(r",([\d.]+)", path.get("d", ""))]


def test_a_falling_loss_falls_on_the_screen() -> None:
    drawn = heights(lines(chart((0, 3.0), (1, 2.0), (2, 1.0))))
    assert drawn == sorted(drawn)  # y grows downwards
    assert drawn[1] == pytest.approx((drawn[0] + drawn[2]) / 2, abs=0.2)


def test_on_a_log_scale_equal_ratios_are_equal_steps() -> None:
    drawn = heights(lines(chart((0, 100.0), (1, 10.0), (2, 1.0), is_log=True)))
    assert drawn[1] - drawn[0] == pytest.approx(drawn[2] - drawn[1], abs=0.2)


def test_values_that_cannot_be_drawn_are_left_out() -> None:
    assert len(heights(lines(chart((0, 1.0), (1, math.nan), (2, 0.0), (3, 2.0), is_log=True)))) == 2
    assert lines(chart((0, math.inf))) == ""
    assert lines(chart()) == ""


def test_long_runs_are_averaged_to_what_a_line_can_show() -> None:
    assert len(heights(lines(chart(*((float(x), 1.0 + x % 2) for x in range(10_000)))))) <= 240


def test_flat_lines_can_be_drawn() -> None:
    assert len(set(heights(lines(chart((0, 0.0), (1, 0.0)))))) == 1
    assert len(set(heights(lines(chart((5, 2.0), (5, 2.0), is_log=True))))) == 1


def test_marks_stand_in_order_on_the_strip() -> None:
    svg = strip([Mark("noise", "noise", 90.0, 80.0, 100.0), Mark("generated", "gen", 20.0, 10.0, 30.0)], low=0.0, high=100.0)
    at = [float(each.get("cx", "")) for each in ElementTree.fromstring(svg).iter("circle")]
    assert at[1] < at[0] < 194
    assert "gen: 20.0 (10.0 to 30.0)" in svg


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.12345, "0.123"), (12.345, "12.3"), (242.4, "242"), (12_345.0, "12,345"), (math.nan, "–"), (-0.5, "-0.500")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def histogram(*, is_log: bool = False) -> Bars:
    edges = (1.0, 10.0, 100.0, 1000.0) if is_log else (0.0, 10.0, 20.0, 30.0)
    bounds = (Bound(10.0, "at least 10"), Bound(5000.0, "at most 5,000"))
    return Bars(
        'sharp<"ness"', edges, ((30, 10, 0), (0, 0, 0), (100_000, 0, 1)), ("kept", "by limit", "otherwise"), bounds, is_log
    )


@pytest.mark.parametrize("is_log", [False, True])
def test_bars_stand_on_each_other_at_their_place_and_bounds_inside_the_axis_are_drawn(is_log: bool) -> None:
    svg = ElementTree.fromstring(bars(histogram(is_log=is_log)))
    rects = [{key: float(value) for key, value in each.items() if key != "class"} for each in svg.iter("rect")]
    assert [each.get("class") for each in svg.iter("rect")] == ["g0", "g1", "g0", "g2"]
    assert rects[1]["y"] + rects[1]["height"] == pytest.approx(rects[0]["y"], abs=0.1)
    assert rects[0]["height"] >= 1, "thirty of a hundred thousand are still to be seen"
    assert rects[2]["x"] - rects[0]["x"] == pytest.approx(2 * rects[0]["width"], abs=2)  # equal bars on either axis
    (line,) = [each for each in svg.iter("line") if each.get("class") == "bound"]
    assert float(line.get("x1", "")) == pytest.approx(rects[0]["x"] + rects[0]["width"] + 0.7, abs=0.2)
    assert "at most 5,000" in svg.get("aria-label", ""), "a bound beyond the axis is named"


def test_ticks_are_short() -> None:
    texts = [each.text or "" for each in ElementTree.fromstring(bars(histogram())).iter("text")]
    assert "100k" in texts
    assert all(len(text) <= 6 for text in texts if not text.startswith("at"))
