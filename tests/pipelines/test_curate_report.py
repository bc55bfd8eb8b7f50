"""The report of curate on a decided table: whole, readable without a network, honest about costs, found again by takedowns."""

import io
import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curation.dedup.rule import DedupConfig
from curation.evidence import Evidence
from curation.tables import TableRef
from curation.verdict import VERDICTS, Decision, decide
from infra.session import Session
from infra.untracked import NullRun
from pipelines.bench import synthetic
from pipelines.curate_page import shows
from pipelines.curate_report import NUM_SAMPLES, thumbnail, write_report
from pipelines.job import Outcome

NUM_ROWS = 900
RULES = synthetic.RULES
HOSTILE = 'synthetic/"><script>alert(1)</script>'
SPENT = {
    "curate/read_bytes": 9e5,
    "curate/read_cpu_s": 0.9,
    "curate/read_rows": 900.0,
    "curate/decode_cpu_s": 2.7,
    "curate/decode_rows": 900.0,
}


class Page(HTMLParser):
    """What a reader without a network sees; fails on an element that is closed out of order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.pictures, self.words = list[str](), list[dict[str, str | None]](), list[str]()
        self.shown: set[str] = set()
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attrs))
        assert tag != "script"
        self.shown |= {value or "" for key, value in attrs if key == "data-id"}
        assert not any((value or "").startswith(("http", "//")) for key, value in attrs if key in ("src", "href"))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


class Kept(NullRun):
    """A run that remembers texts."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def log_text(self, text: str, name: str) -> None:
        self.texts[name] = text


def _png(seed: int, side_px: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (4, 4, 3), np.uint8)).resize((side_px, 20)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> tuple[TableRef, pa.Table, Decision]:
    rows = synthetic.columns(0, NUM_ROWS)
    rows = rows.set_column(0, "id", pa.array([HOSTILE, *rows["id"].to_pylist()[1:]]))
    decision = decide(Evidence(rows, features=synthetic.features(0, NUM_ROWS).__getitem__), RULES)
    lists = [[name for place, name in enumerate(decision.names) if int(bits) >> place & 1] for bits in decision.reasons]
    rows = rows.append_column("verdict", pa.array([VERDICTS[code] for code in decision.verdict]))
    rows = rows.append_column("verdict_reasons", pa.array(lists, pa.list_(pa.string())))
    pictures = [None if seed % 50 == 7 else _png(seed)[: 30 if seed % 50 == 8 else None] for seed in range(NUM_ROWS)]
    uri = str(tmp_path_factory.mktemp("report") / "images.lance")
    lance.write_dataset(rows.append_column("image", pa.array(pictures, pa.large_binary())), uri, max_rows_per_file=400)
    return TableRef(uri=uri, version=1), rows, decision


def _written(decided: tuple[TableRef, pa.Table, Decision], session: Session, **metrics: float) -> str:
    run = Kept()
    named = {f"curate/{name}": value for name, value in metrics.items()}
    place = write_report(decided[0], RULES, session, run, digest="abc", metrics=named)
    assert run.texts == {"curate-abc.html": Path(place).read_text()}
    return run.texts["curate-abc.html"]


def test_the_page_is_whole_and_every_picture_says_what_it_is(
    decided: tuple[TableRef, pa.Table, Decision], session: Session
) -> None:
    _, rows, decision = decided
    page = Page(_written(decided, session))
    words = " ".join(page.words)
    for name in ("kept", "dropped", "quarantined"):
        assert f"{(decision.verdict == VERDICTS.index(name)).sum():,}" in words
    for name in ("width_px", "aesthetic", "characters of text_en", "too small", "duplicate near"):
        assert name in words
    num_leaves = len(set(rows["category"].to_pylist()))
    assert f"The 24 largest of {num_leaves} leaves" in words
    starved = set(rows["category"].to_pylist()) - set(rows.filter(pa.array(decision.is_kept))["category"].to_pylist())
    assert f"Nothing is kept of {len(starved)} leaves: {min(starved)}," in words
    assert 50 < len(page.pictures) <= (24 + 12) * NUM_SAMPLES * 2
    verdicts = dict(zip(rows["id"].to_pylist(), rows["verdict"].to_pylist(), strict=True))
    for picture in page.pictures:
        assert (picture["src"] or "").startswith("data:image/webp;base64,")
        assert picture["alt"] == f"{verdicts[picture['data-id'] or '']}: {picture['data-id']}"


def test_beside_a_duplicate_stands_a_kept_picture(decided: tuple[TableRef, pa.Table, Decision], session: Session) -> None:
    _, rows, decision = decided
    words = Page(_written(decided, session)).words
    firsts = np.array([*decision.names, ""])[decision.first_reason]
    losers = {name for name, first in zip(rows["id"].to_pylist(), firsts, strict=True) if first == "duplicate_exact"}
    kept = {name for name, verdict in zip(rows["id"].to_pylist(), rows["verdict"].to_pylist(), strict=True) if verdict == "kept"}
    beside = [
        word.removeprefix("kept: ").rpartition(", ")[0] for word in words if word.startswith("kept: ") and "same file" in word
    ]
    assert isinstance(RULES.dedup, DedupConfig)
    assert beside
    assert set(beside) <= kept
    assert losers & set(words)


def test_rows_that_are_shown_are_found_again_and_others_are_not(
    decided: tuple[TableRef, pa.Table, Decision], session: Session
) -> None:
    page = _written(decided, session)
    shown = Page(page).shown
    assert all(shows(page, [one]) for one in shown)
    kept = decided[1].filter(pa.array(decided[2].is_kept))["id"].to_pylist()
    assert not shows(page, set(kept) - shown)
    assert not shows(page, {one[:-1] for one in shown} - shown - {"synthetic/"}), "the beginning of an id is another row"
    assert HOSTILE not in page


def test_costs_are_of_this_run_or_of_the_last_that_measured_or_not_there(
    decided: tuple[TableRef, pa.Table, Decision], session: Session
) -> None:
    assert "no run on record has measured this table" in _written(decided, session)
    ours = _written(decided, session, **{name.removeprefix("curate/"): value for name, value in SPENT.items()})
    assert "Nothing was measured by this run" not in ours
    assert "1,111" in ours, "4 ms a row, of 10^9 rows"
    other = _recorded(session, decided[0].uri + "x", SPENT, hour=3)
    assert "no run on record has measured this table" in _written(decided, session), f"{other} is of another table"
    _recorded(session, decided[0].uri, SPENT, hour=1)
    _recorded(session, decided[0].uri, {}, hour=2)
    later = _written(decided, session)
    assert "Nothing was measured by this run; these are the figures of the run of 2026-01-01 01:00 UTC." in later
    assert "1,111" in later


def _recorded(session: Session, uri: str, metrics: dict[str, float], *, hour: int) -> str:
    outcome = Outcome(
        job="curate", digest=f"d{hour}", finished=datetime(2026, 1, 1, hour, tzinfo=UTC), seconds=1.0, rows_in=1, rows_out=1,
        quarantined=0, outputs={"images": uri}, metrics=metrics, run_id="", note="", bytes=0,
    )  # fmt: skip
    Path(uri).mkdir(exist_ok=True)
    session.workspace.write_text(json.dumps(outcome.model_dump(mode="json")), "jobs", f"curate-d{hour}.json")
    return outcome.digest


def test_thumbnails_keep_their_shape_and_what_cannot_be_decoded_has_none() -> None:
    small = thumbnail(_png(1, side_px=400))
    assert small is not None
    with Image.open(io.BytesIO(small)) as image:
        assert (image.format, image.size) == ("WEBP", (128, 6))
    assert thumbnail(_png(1)[:40]) is None
    assert thumbnail(None) is None
