import numpy as np
import pyarrow as pa
import pytest

from curation import funnel
from curation.tables import REASONS
from curation.verdict import DROPPED, KEPT, QUARANTINED, Decision

NAMES = ("unreadable", "blank", "no_text", "duplicate_near")
CATEGORIES = pa.chunked_array([["Food", "Food", "Animals", "Food", "", None]])
DECISION = Decision(
    verdict=np.array([KEPT, DROPPED, QUARANTINED, DROPPED, KEPT, KEPT], np.int8),
    reasons=np.array([0, 0b0110, 0b0001, 0b1000, 0, 0], np.uint64),
    weight=np.array([1, 0, 0, 0, 1, 1], np.float32),
    names=NAMES,
)


def test_lines_count_their_category_and_the_last_sums_up() -> None:
    lines = {line["category"]: line for line in funnel.count(CATEGORIES, DECISION).to_pylist()}
    assert list(lines) == ["(none)", "Animals", "Food", "all"]
    food = {"rows": 3, "kept": 1, "dropped": 2, "quarantined": 0, "blank": 1, "no_text": 0, "duplicate_near": 1}
    assert {name: lines["Food"][name] for name in food} == food
    for name in ("rows", "kept", "dropped", "quarantined", *NAMES):
        assert lines["all"][name] == sum(line[name] for category, line in lines.items() if category != "all"), name


def test_the_funnel_in_words_names_reasons() -> None:
    words = "3 kept, 2 dropped (1 blank, 1 duplicate_near), 1 quarantined (1 unreadable)"
    assert funnel.in_words(funnel.count(CATEGORIES, DECISION)) == words
    metrics = funnel.as_metrics(funnel.count(CATEGORIES, DECISION), "x")
    assert (metrics["x/blank_images"], metrics["x/blank_only_images"], metrics["x/kept_images"]) == (1, 0, 3)


def test_a_stored_funnel_has_every_reason_there_is() -> None:
    stored = funnel.with_all_reasons(funnel.count(CATEGORIES, DECISION))
    assert stored.schema.names == ["category", "rows", "kept", "dropped", "quarantined", *REASONS, "any", "only"]
    funnel.check(stored)
    assert funnel.in_words(stored) == funnel.in_words(funnel.count(CATEGORIES, DECISION))


def test_a_line_that_does_not_add_up_is_refused() -> None:
    counted = funnel.count(CATEGORIES, DECISION)
    broken = counted.to_pylist()
    broken[0]["kept"] += 1
    with pytest.raises(AssertionError, match="kept"):
        funnel.check(pa.Table.from_pylist(broken, schema=counted.schema))


def test_a_reason_is_counted_where_it_is_first_where_it_applies_and_where_it_is_alone() -> None:
    total = funnel.count(CATEGORIES, DECISION).to_pylist()[-1]
    assert {name: (total[name], total["any"][name], total["only"][name]) for name in NAMES} == {
        "unreadable": (1, 1, 1), "blank": (1, 1, 0), "no_text": (0, 1, 0), "duplicate_near": (1, 1, 1),
    }  # fmt: skip


def test_batches_count_like_the_whole() -> None:
    counting = funnel.Counting(NAMES)
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        part = Decision(DECISION.verdict[rows], DECISION.reasons[rows], DECISION.weight[rows], NAMES)
        counting.add(CATEGORIES.slice(rows.start, rows.stop - rows.start), part)
    assert counting.table() == funnel.count(CATEGORIES, DECISION)
