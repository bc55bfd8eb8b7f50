import pyarrow as pa
import pytest

from curation import funnel

ROWS = pa.table(
    {
        "category": ["Food", "Food", "Animals", "Food", ""],
        "verdict": ["kept", "dropped", "quarantined", "dropped", "kept"],
        "verdict_reasons": pa.array([[], ["blank", "no_text"], ["unreadable"], ["duplicate_near"], []], pa.list_(pa.string())),
    }
)


def test_lines_count_their_category_and_the_last_sums_up() -> None:
    lines = {line["category"]: line for line in funnel.count(ROWS).to_pylist()}
    assert list(lines) == ["(none)", "Animals", "Food", "all"]
    food = {"rows": 3, "kept": 1, "dropped": 2, "quarantined": 0, "blank": 1, "no_text": 0, "duplicate_near": 1}
    assert {name: lines["Food"][name] for name in food} == food
    for name in ("rows", "kept", "dropped", "quarantined", "blank", "unreadable"):
        assert lines["all"][name] == sum(line[name] for category, line in lines.items() if category != "all"), name


def test_the_funnel_in_words_names_reasons() -> None:
    assert funnel.in_words(funnel.count(ROWS)) == "2 kept, 2 dropped (1 blank, 1 duplicate_near), 1 quarantined (1 unreadable)"


def test_a_line_that_does_not_add_up_is_refused() -> None:
    broken = funnel.count(ROWS).to_pylist()
    broken[0]["kept"] += 1
    with pytest.raises(AssertionError, match="kept"):
        funnel.check(pa.Table.from_pylist(broken, schema=funnel.FUNNEL_SCHEMA))


def test_a_row_without_a_verdict_is_not_counted_silently() -> None:
    unjudged = {"verdict": pa.array([None], pa.string()), "verdict_reasons": pa.array([None], pa.list_(pa.string()))}
    with pytest.raises(AssertionError):
        funnel.count(pa.table({"category": ["x"], **unjudged}))
