import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from eval.charts import Chart, Series
from eval.document import write
from eval.page import page
from eval.page_tables import duration, size
from eval.render import png
from eval.report import Command, Comparison, Example, Fact, FunnelLine, Gallery, Report, Stage, Tile
from eval.scores import Score

HOSTILE = "<script>alert('x')</script> & \"quotes\""


class Balanced(HTMLParser):
    """Fails on an element that is closed out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def score(subject: str, value: float, split: str = "train") -> Score:
    return Score.model_validate(
        {"metric": "retrieval_r1", "task": "t2i", "split": split, "subject": subject, "value": value, "low": value - 0.05,
         "high": value + 0.05, "num_samples": 200, "gallery": 180}
    )  # fmt: skip


@pytest.fixture
def report() -> Report:
    picture = png(np.zeros((4, 4, 3), dtype=np.uint8))
    examples = (Example((picture, picture), HOSTILE, "caption first", True), Example((None, picture), "a bear", "", None))
    return Report(
        title=HOSTILE,
        subtitle="two cores",
        tiles=(Tile("R@1", "78 %", "noise 0 %", "good"),),
        galleries=(Gallery("Text to image", "note", ("generated", "real"), 0, examples),),
        scores=(score("generated", 0.78), score("noise", 0.05), score("generated", 0.1, "heldout")),
        charts=(Chart("Generator", HOSTILE, (Series("loss", ((0.0, 1.0), (1.0, 0.5))),), "step", True),),
        funnel=(FunnelLine("food", 10, 7, 2, 1, {"blurred": 2, "unreadable": 1}), FunnelLine("animals", 5, 5, 0, 0, {})),
        stages=(Stage("ingest", 61.0, 15, 15, 1, 2_500_000, HOSTILE), Stage("curate", 3.2, 15, 12, 0, 0, "")),
        lineage=(Fact("bundle", "abc", "13 MB"),),
        commands=(Command("make serve", "go on"),),
        notes=("limits",),
    )


def test_the_page_is_whole_and_needs_nothing_from_outside(report: Report) -> None:
    html = page(report)
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    assert "script" not in parser.seen
    assert parser.seen.count("img") == 3
    places = re.findall(r'(?:src|href|url)\s*[=(]\s*"?([^")\s>]+)', html)
    assert all(place.startswith(("data:", "#")) for place in places)


def test_text_from_tables_cannot_become_markup(report: Report) -> None:
    html = page(report)
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") >= 4


def test_the_funnel_adds_up_on_the_page(report: Report) -> None:
    html = page(report)
    given = report._replace(funnel=(*report.funnel, FunnelLine("all", 15, 12, 2, 1, {"blurred": 2, "unreadable": 1})))
    assert page(given) == html
    total = re.search(r'<tr class="sum"><td>all</td>.*?</tr>', html)
    assert total is not None
    assert re.findall(r"<td>([\d,]+)</td>", total.group()) == ["15", "12", "2", "1"]


def test_another_model_has_a_section_with_its_scores_and_pictures(report: Report) -> None:
    assert "Beside another model" not in page(report)
    picture = png(np.ones((4, 4, 3), dtype=np.uint8))
    heads = ("generated", "other model", "nearest caption", "real")
    shown = Gallery("Text to image", "note", heads, 0, (Example((picture,) * 4, "a bear", "", None),))
    scores = (score("generated", 0.9), score("beside", 0.61), score("nearest", 0.42))
    html = page(report._replace(comparison=Comparison("twelve prompts", (shown,), scores)))
    section = html[html.index('id="comparison"') :]
    for expected in ("twelve prompts", "61 %", "42 %", 'class="mark beside"', 'class="mark nearest"', "another model"):
        assert expected in section, expected
    assert section.count("<img") == 4
    assert "noise, decoded" not in section[: section.index("<table")], "the legend names who is there"


def test_sections_without_content_are_left_out(report: Report) -> None:
    html = page(report._replace(galleries=(), charts=(), lineage=(), scores=()))
    assert re.findall(r"<h2>(.*?)</h2>", html) == ["Data", "Time and size", "How to go on"]
    assert re.findall(r'href="#(\w+)"', html) == ["data", "stages", "next"]


def test_writing_leaves_one_file(report: Report, tmp_path: Path) -> None:
    write(page(report), tmp_path / "new" / "report.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]


@pytest.mark.parametrize(("seconds", "text"), [(0.42, "0.4 s"), (9.96, "10 s"), (61.0, "1 min 01 s"), (754.6, "12 min 35 s")])
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("num_bytes", "text"), [(0, ""), (999, "999 B"), (1500, "1.50 kB"), (13_200_000, "13.2 MB")])
def test_sizes_are_for_people(num_bytes: int, text: str) -> None:
    assert size(num_bytes) == text
