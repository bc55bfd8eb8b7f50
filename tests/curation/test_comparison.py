import numpy as np
import pyarrow as pa
import pytest

from curation.comparison import difference, effective_number, overlaps, summarised
from curation.evidence import Evidence
from curation.verdict import decide
from pipelines.bench import synthetic
from pipelines.overrides import apply

NUM_ROWS = 1003         # no multiple of eight
VARIANTS = [apply(synthetic.RULES, [f"drop.blurred.limit={limit}"]) for limit in (5, 40, 500)]


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return Evidence(synthetic.columns(0, NUM_ROWS), features=synthetic.features(0, NUM_ROWS).__getitem__)


def test_the_effective_number_of_equal_shares_is_their_number() -> None:
    assert effective_number(np.array([5, 5, 5, 0])) == pytest.approx(3)
    assert effective_number(np.array([0, 0])) == 0
    assert 1 < effective_number(np.array([99, 1])) < 1.1


def test_overlaps_and_differences_are_those_of_the_sets(evidence: Evidence) -> None:
    decisions = [decide(evidence, config) for config in VARIANTS]
    yardstick = synthetic.RULES.dedup
    summaries = [
        summarised(evidence, config, decision, yardstick=yardstick)
        for config, decision in zip(VARIANTS, decisions, strict=True)
    ]
    kept = [set(evidence.rows["id"].filter(pa.array(decision.is_kept)).to_pylist()) for decision in decisions]
    found = overlaps(summaries)
    for row, ours in enumerate(kept):
        for column, theirs in enumerate(kept):
            assert found[row, column] == pytest.approx(len(ours & theirs) / len(ours | theirs) if ours | theirs else 1)
    for place in (1, 2):
        change = difference(evidence, summaries[0], summaries[place])
        assert (change.entered, change.left) == (len(kept[place] - kept[0]), len(kept[0] - kept[place]))
        assert set(change.left_ids) <= kept[0] - kept[place]
        assert len(change.left_ids) == min(6, change.left)
    assert kept[0] > kept[2]


def test_a_summary_counts_the_kept_rows_of_each_leaf(evidence: Evidence) -> None:
    decision = decide(evidence, VARIANTS[0])
    summary = summarised(evidence, VARIANTS[0], decision, yardstick=None)
    assert sum(summary.kept_by_leaf.values()) == summary.counts["kept"] == int(decision.is_kept.sum())
    assert summary.counts["rows"] == NUM_ROWS
    assert summary.effective_clusters == pytest.approx(summary.counts["kept"])
