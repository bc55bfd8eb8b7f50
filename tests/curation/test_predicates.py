import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from curation.predicates import Leaves, Predicate, answer, columns_of, in_words, reads_leaves

ROWS = pa.table(
    {
        "score": pa.array([1.0, 2.0, 3.0, None, float("nan")]),
        "size": pa.array([1, 2, 3, None, 5], pa.int32()),
        "word": pa.array(["cat", " dog ", "Cat 12", None, ""]),
    }
)
ADAPTER = TypeAdapter(Predicate)


def _no_leaves() -> Leaves:
    raise AssertionError("nobody asked for leaves")


@pytest.mark.parametrize(
    ("settings", "passes"),
    [
        ({"kind": "at_least", "columns": ["score"], "limit": 2}, ".++?."),
        ({"kind": "at_least", "columns": ["score", "size"], "limit": 2}, ".++?."),
        ({"kind": "at_most", "columns": ["size"], "limit": 2}, "++.?."),
        ({"kind": "between", "column": "size", "low": 2, "high": 3}, ".++?."),
        ({"kind": "one_of", "column": "word", "values": ["cat", ""]}, "+..?+"),
        ({"kind": "one_of", "column": "size", "values": [1, 5]}, "+..?+"),
        ({"kind": "none_of", "column": "word", "values": ["cat"]}, ".++?+"),
        ({"kind": "not_null", "column": "word"}, "+++.+"),
        ({"kind": "text_length", "column": "word", "low": 1, "high": 3}, "++.?."),
        ({"kind": "text_length", "column": "word", "low": 1, "high": None}, "+++?."),
        ({"kind": "matches", "column": "word", "pattern": "(?i)^cat"}, "+.+?."),
        ({"kind": "lacks", "column": "word", "pattern": r"\d"}, "++.?+"),
    ],
)
def test_each_predicate_passes_fails_or_does_not_know(settings: dict, passes: str) -> None:
    predicate = ADAPTER.validate_python({"reason": "because", **settings})
    found = answer(predicate, ROWS, _no_leaves)
    marks = zip(found.fails.tolist(), found.unknown.tolist(), strict=True)
    assert "".join("?" if unknown else "." if fails else "+" for fails, unknown in marks) == passes
    assert set(columns_of(predicate)) <= set(ROWS.schema.names)
    assert not reads_leaves(predicate)


@pytest.mark.parametrize(("when_null", "mark"), [("drop", (1, 0)), ("keep", (0, 0)), ("quarantine", (0, 1))])
def test_a_missing_value_is_what_the_recipe_says(when_null: str, mark: tuple[int, int]) -> None:
    settings = {"kind": "at_least", "reason": "because", "columns": ["size"], "limit": 2, "when_null": when_null}
    found = answer(ADAPTER.validate_python(settings), ROWS, _no_leaves)
    assert (found.fails[3], found.unknown[3]) == mark


def test_limits_follow_the_leaf() -> None:
    settings = {"kind": "at_most", "reason": "because", "columns": ["size"], "limit": 2, "by_leaf": {"map": 9, "chart": 0}}
    predicate = ADAPTER.validate_python(settings)
    found = answer(predicate, ROWS, lambda: Leaves(np.array([0, 1, 1, 0, -1]), ("chart", "map")))
    assert found.fails.tolist() == [True, False, False, False, True]
    assert reads_leaves(predicate)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "at_least", "columns": ["w", "h"], "limit": 32, "by_leaf": {"icons": 16}}, "w, h at least 32; 16 for icons"),
        (
            {"kind": "at_most", "columns": ["w"], "limit": 0.5, "by_leaf": dict.fromkeys("abcd", 1)},
            "w at most 0.5; others by leaf",
        ),
        ({"kind": "between", "column": "tone", "low": 0.1, "high": 9}, "tone from 0.1 to 9"),
        ({"kind": "one_of", "column": "kind", "values": ["a", "b"]}, "kind one of a, b"),
        ({"kind": "not_null", "column": "kind"}, "kind has a value"),
        ({"kind": "text_length", "column": "t", "low": 1, "high": 4000}, "t at least 1, at most 4,000 characters"),
        ({"kind": "lacks", "column": "t", "pattern": "https?:"}, "t lacks https?:"),
    ],
)
def test_predicates_are_told_in_words(settings: dict, words: str) -> None:
    assert in_words(ADAPTER.validate_python({"reason": "because", **settings})) == words
