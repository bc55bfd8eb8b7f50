"""The plan of the corpus: the promised numbers, windows apart, the same from the same seed."""

import hashlib
import json
from collections import Counter
from itertools import combinations

import pytest

from pipelines.bench.corpus.plan import MAX_OVERLAP, MAX_SHRINK, MIN_SHRINK, Photo, Planned, Window, overlap, plan
from pipelines.bench.corpus.render import PLAN_DIGEST, planned_files

PHOTOS = [Photo("wide", 640, 427), Photo("square", 512, 512), Photo("tall", 512, 600)]


@pytest.fixture(scope="module")
def published() -> list[Planned]:
    return planned_files()


def test_the_published_plan_is_the_one_that_was_fixed(published):
    assert hashlib.sha256(json.dumps(published).encode()).hexdigest() == PLAN_DIGEST


def test_two_thousand_files_hold_what_is_promised(published):
    assert Counter(one.kind for one in published) == {"original": 1566, "exact": 184, "near": 216, "truncated": 24, "html": 10}
    assert len({one.name for one in published}) == 2000


def test_windows_of_one_photograph_overlap_by_no_more_than_allowed(published):
    windows: dict[str, list[Window]] = {}
    for one in published:
        if one.kind in ("original", "truncated"):
            windows.setdefault(one.photo, []).append(one.window)
    assert max(overlap(*pair) for each in windows.values() for pair in combinations(each, 2)) <= MAX_OVERLAP


def test_copies_name_an_original_and_show_its_window(published):
    by_name = {one.name: one for one in published}
    copies = [one for one in published if one.original]
    assert copies
    for one in copies:
        original = by_name[one.original]
        assert original.kind == "original"
        assert original.window == one.window
        if one.kind == "near":
            assert MIN_SHRINK - 0.01 <= one.size[0] / original.size[0] <= MAX_SHRINK + 0.01


def test_another_seed_gives_another_corpus_and_the_same_seed_the_same():
    assert plan(PHOTOS, num_files=60, seed=1) == plan(PHOTOS, num_files=60, seed=1)
    assert plan(PHOTOS, num_files=60, seed=1) != plan(PHOTOS, num_files=60, seed=2)


@pytest.mark.parametrize(
    ("other", "expected"), [(Window(0, 0, 10, 10), 1.0), (Window(5, 0, 15, 10), 1 / 3), (Window(10, 0, 20, 10), 0.0)]
)
def test_overlap_is_intersection_over_union(other, expected):
    assert overlap(Window(0, 0, 10, 10), other) == pytest.approx(expected)
