"""Scores of the curation benchmark, on a corpus small enough to count by hand."""

from pathlib import Path

import pytest

from pipelines.bench.corpus.plan import Planned, Window
from pipelines.bench.corpus.render import Truth
from pipelines.bench.curate_score import Filters, Reported, score

FILTERS = Filters(min_side_px=256, max_aspect=4.0, min_bytes=10)
NO_WINDOW = Window(0, 0, 0, 0)


def planned(name: str, kind: str, original: str = "", size: tuple[int, int] = (640, 480)) -> Planned:
    return Planned(name, kind, "photo", NO_WINDOW, size, "jpeg", 88, 1.0, original, 0)  # pyright: ignore[reportArgumentType] - kinds


@pytest.fixture
def truth() -> Truth:
    files = [
        planned("a", "original"), planned("a2", "exact", "a"), planned("a3", "near", "a"), planned("b", "original"),
        planned("b2", "near", "b"), planned("c", "original"), planned("tiny", "original", size=(300, 200)),
        planned("cut", "truncated"), planned("page", "html", size=(0, 0)),
    ]  # fmt: skip
    return Truth(files, "digest", "plan")


@pytest.fixture
def folder(truth: Truth, tmp_path: Path) -> Path:
    for one in truth.files:
        (tmp_path / one.name).write_bytes(b"x" * 20)
    return tmp_path


def test_bad_files_and_false_rejects_are_counted(truth, folder):
    scores = score(Reported(good=["a", "a2", "a3", "b", "b2", "c", "cut"]), truth, folder, filters=FILTERS)
    assert scores == {"bad_found": 1, "bad_total": 2, "false_rejects": 1}


def test_a_pair_with_a_copy_counts_as_a_pair_with_its_original(truth, folder):
    scores = score(Reported(pairs=[("a2", "a3"), ("a", "a2"), ("b", "c")]), truth, folder, filters=FILTERS)
    assert scores == {"near_dup_recall": 0.5, "near_dup_precision": 0.5}


def test_groups_and_equal_hashes_mean_pairs(truth, folder):
    by_groups = score(Reported(groups=[["a", "a2", "a3"], ["b2", "b"]]), truth, folder, filters=FILTERS)
    hashes = {"a": "1", "a2": "1", "a3": "1", "b": "2", "b2": "2", "c": "3"}
    assert by_groups == score(Reported(hashes=hashes), truth, folder, filters=FILTERS)
    assert by_groups == {"near_dup_recall": 1.0, "near_dup_precision": 1.0}


def test_what_filters_lose_and_leave(truth, folder):
    scores = score(Reported(kept=["a", "a3", "b2", "tiny", "cut"]), truth, folder, filters=FILTERS)
    assert scores["lost_pictures"] == 1            # c
    assert scores["left_duplicates"] == 1          # a beside a3
    assert scores["kept_against_filters"] == 2     # tiny and cut
    assert scores["bad_found"] == 1                # the page


def test_no_pairs_at_all_have_no_precision(truth, folder):
    assert score(Reported(pairs=[]), truth, folder, filters=FILTERS) == {"near_dup_recall": 0.0}
