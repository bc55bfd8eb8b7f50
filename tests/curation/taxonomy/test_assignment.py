import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.taxonomy.assignment import (
    LEAF_SCORES,
    UNASSIGNED,
    AssignmentConfig,
    assign,
    merge_scores,
    missing_leaves,
    scores_column,
)

Scores = dict[str, float]
NAMES = ["a/one", "a/two", "b/one", "b/two"]
SCORES = st.lists(st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.25, 0.5, 0.75, 1.0])), max_size=6)


def column(*rows: Scores | None) -> pa.ListArray:
    """Scores of rows, highest first and then by leaf."""
    listed = [
        None if row is None else [{"leaf": leaf, "score": row[leaf]} for leaf in sorted(row, key=lambda leaf: (-row[leaf], leaf))]
        for row in rows
    ]
    return pa.array(listed, LEAF_SCORES)


def test_the_best_leaf_is_primary_and_the_next_ones_follow():
    scores = column({"a/one": 0.5, "a/two": 0.75, "b/one": 0.625, "b/two": 0.5})
    (row,) = assign(scores, AssignmentConfig(min_score=0.4, max_further=2)).to_pylist()
    assert (row["leaf"], row["leaf_score"]) == ("a/two", 0.75)
    assert row["further_leaves"] == [{"leaf": "b/one", "score": 0.625}, {"leaf": "a/one", "score": 0.5}]


def test_a_row_that_fits_nothing_well_is_unassigned():
    assigned = assign(column({"a/one": 0.25}, {}, None, {"a/two": 0.5}), AssignmentConfig(min_score=0.5, max_further=1))
    assert assigned["leaf"].to_pylist() == [UNASSIGNED, UNASSIGNED, UNASSIGNED, "a/two"]
    assert assigned["leaf_score"].to_pylist() == [None, None, None, 0.5]
    assert assigned["further_leaves"].to_pylist() == [[], [], [], []]


def test_leaves_below_the_limit_are_not_further_ones():
    (row,) = assign(column({"a/one": 0.75, "a/two": 0.25}), AssignmentConfig(min_score=0.5, max_further=3)).to_pylist()
    assert row["further_leaves"] == []


def test_a_slice_of_a_column_is_assigned_like_the_rows_alone():
    scores = column({"a/one": 1.0}, {"a/two": 0.75, "b/one": 0.5}, {}, {"b/two": 0.5})
    config = AssignmentConfig(min_score=0.4, max_further=1)
    assert assign(scores.slice(1, 3), config).to_pylist() == assign(scores, config).to_pylist()[1:]


def test_no_rows_give_no_rows():
    assert assign(column(), AssignmentConfig(min_score=0.5, max_further=1)).num_rows == 0


def test_only_new_and_changed_leaves_are_missing():
    known = {"a/one": "1", "a/two": "2", "gone/leaf": "3"}
    assert missing_leaves(known, {"a/one": "1", "a/two": "9", "b/one": "4"}) == ("a/two", "b/one")
    assert missing_leaves(known, {"a/one": "1"}) == ()


def test_merging_replaces_measured_leaves_keeps_others_and_drops_strangers():
    stored = column({"a/one": 0.5, "a/two": 0.75, "gone/leaf": 1.0}, None, {"a/two": 0.5})
    fresh = column({"a/two": 0.25, "b/one": 0.875}, {"b/one": 0.5}, {})
    merged = merge_scores(stored, fresh, measured=["a/two", "b/one"], leaves=NAMES)
    assert merged.equals(column({"b/one": 0.875, "a/one": 0.5, "a/two": 0.25}, {"b/one": 0.5}, {}))


def test_merging_columns_of_different_rows_is_refused():
    with pytest.raises(ValueError, match="stored scores have 1 rows, fresh ones 2"):
        merge_scores(column({}), column({}, {}), measured=[], leaves=NAMES)


@given(SCORES, st.sets(st.sampled_from(NAMES)))
def test_scores_of_parts_merge_to_scores_of_the_whole(rows: list[Scores], part: set[str]):
    """Measuring some leaves first and the rest later leaves the same column."""
    first = column(*({leaf: score for leaf, score in row.items() if leaf in part} for row in rows))
    rest = column(*({leaf: score for leaf, score in row.items() if leaf not in part} for row in rows))
    assert merge_scores(first, rest, measured=set(NAMES) - part, leaves=NAMES).equals(column(*rows))


@given(SCORES, st.permutations(range(24)))
def test_the_order_of_loose_entries_does_not_matter(rows: list[Scores], order: list[int]):
    loose = [(row, leaf, score) for row, scores in enumerate(rows) for leaf, score in scores.items()]
    shuffled = [loose[place] for place in order if place < len(loose)]
    numbers = np.array([row for row, _, _ in shuffled], dtype=np.int64)
    names = pa.array([leaf for _, leaf, _ in shuffled], pa.string())
    values = np.array([score for _, _, score in shuffled], dtype=np.float32)
    assert scores_column(numbers, names, values, num_rows=len(rows)).equals(column(*rows))
