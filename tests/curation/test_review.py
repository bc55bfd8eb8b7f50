"""A review of standing verdicts says what the decision did, whatever the batches."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from curation import funnel
from curation.evidence import Evidence
from curation.review import Review, review
from curation.verdict import VERDICTS, Decision, decide, reasons_of
from pipelines.bench import synthetic

NUM_ROWS, NUM_SAMPLES = 3000, 4
RULES = synthetic.RULES


@pytest.fixture(scope="module")
def decided() -> tuple[pa.Table, Decision]:
    rows = synthetic.columns(0, NUM_ROWS)
    decision = decide(Evidence(rows, features=synthetic.features(0, NUM_ROWS).__getitem__), RULES)
    lists = [[name for place, name in enumerate(decision.names) if int(bits) >> place & 1] for bits in decision.reasons]
    rows = rows.append_column("verdict", pa.array([VERDICTS[code] for code in decision.verdict]))
    rows = rows.append_column("verdict_reasons", pa.array(lists, pa.list_(pa.string())))
    return rows.append_column("_rowid", pa.array(np.arange(NUM_ROWS, dtype=np.uint64))), decision


def _batches(rows: pa.Table, size: int) -> Iterator[pa.Table]:
    return (rows.slice(start, size) for start in range(0, rows.num_rows, size))


@pytest.fixture(scope="module")
def reviewed(decided: tuple[pa.Table, Decision]) -> Review:
    return review(_batches(decided[0], 700), RULES, num_samples=NUM_SAMPLES)


def test_the_funnel_is_that_of_the_decision(decided: tuple[pa.Table, Decision], reviewed: Review) -> None:
    rows, decision = decided
    lines, expected = reviewed.funnel.to_pylist(), funnel.count(rows["category"], decision).to_pylist()
    for name in ("category", "rows", *VERDICTS, *reasons_of(RULES)):
        assert [line[name] for line in lines] == [line[name] for line in expected], name
    for name in reasons_of(RULES):
        for kind in funnel.BY_REASON:
            assert [line[kind][name] for line in lines] == [line[kind][name] for line in expected], name


def test_each_number_that_rules_read_is_spread_over_all_rows(decided: tuple[pa.Table, Decision], reviewed: Review) -> None:
    decision = decided[1]
    found = {measure.name: (measure, histogram) for measure, histogram in reviewed.histograms}
    assert list(found) == ["width_px", "height_px", "sharpness", "aesthetic", "characters of text_en"]
    for measure, histogram in found.values():
        assert histogram.counts.sum() + histogram.num_missing == NUM_ROWS
        assert histogram.counts[:, 0].sum() == decision.is_kept.sum()
        failing = (decision.reasons >> np.uint64(decision.names.index(measure.reasons[0]))) & np.uint64(1)
        assert histogram.counts[:, 1].sum() == failing.sum()


def test_samples_are_drawn_by_the_rows_themselves(decided: tuple[pa.Table, Decision], reviewed: Review) -> None:
    rows, decision = decided
    whole = review(_batches(rows.take(pa.array(np.arange(NUM_ROWS)[::-1])), NUM_ROWS), RULES, num_samples=NUM_SAMPLES)
    assert whole.kept == reviewed.kept
    assert whole.gone == reviewed.gone
    firsts = [(*decision.names, "")[place] for place in decision.first_reason]
    for reason, samples in reviewed.gone.items():
        assert len(samples) == min(NUM_SAMPLES, firsts.count(reason))
        assert {firsts[sampled.row_id] for sampled in samples} == {reason}
        assert {sampled.reasons[0] for sampled in samples} == {reason}
    leaves = rows["category"].to_pylist()
    kept_of = [leaf for leaf, is_kept in zip(leaves, decision.is_kept, strict=True) if is_kept]
    assert {leaf: len(samples) for leaf, samples in reviewed.kept.items()} == {
        leaf: min(NUM_SAMPLES, kept_of.count(leaf)) for leaf in set(kept_of)
    }
    assert all(leaves[sampled.row_id] == leaf for leaf, samples in reviewed.kept.items() for sampled in samples)


def test_errors_are_counted_by_class(decided: tuple[pa.Table, Decision], reviewed: Review) -> None:
    broken = decided[0]["hashes_error"].drop_null()
    assert reviewed.errors == {"hashes_error: unreadable": len(broken)}
