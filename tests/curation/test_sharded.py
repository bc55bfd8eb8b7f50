"""Deciding shard by shard gives what deciding in one place gives, however the table is cut."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import verdict
from curation.balance import BalanceConfig, CellAxis, LeafAxis, QuotaConfig, WordAxis
from curation.evidence import Evidence
from curation.sharded import decide_shards
from curation.shards import first_rows, in_turn
from curation.verdict import DecisionConfig
from infra.errors import UserError
from pipelines.bench import synthetic
from pipelines.bench.synthetic import RULES, SyntheticShard
from pipelines.overrides import apply

NUM_ROWS = 2000
BALANCED = RULES.model_copy(
    update={
        "balance": BalanceConfig(
            leaves=LeafAxis(column="category", threshold=75),
            words=WordAxis(column="text_en", threshold=40, min_rows=12, most=3), cells=None, gives="draws",
        ),
        "quotas": QuotaConfig(column="category", rows=(("leaf-000", 20), ("leaf-001", 0)), otherwise=12),
    }
)  # fmt: skip
assert RULES.dedup is not None
CONFIGS = [
    BALANCED,
    apply(BALANCED, ["dedup.near.bits=1", "drop.blurred.limit=50", "seed=3"]),
    BALANCED.model_copy(update={"balance": None, "quotas": None, "dedup": None}),
    BALANCED.model_copy(update={"dedup": RULES.dedup.model_copy(update={"near": None}), "quotas": None}),
]


@pytest.fixture(scope="module")
def in_one_place() -> list[str]:
    rows, vectors = synthetic.columns(0, NUM_ROWS), synthetic.features(0, NUM_ROWS)
    evidence = Evidence(rows, features=vectors.__getitem__)
    return [verdict.digest(evidence.ids, verdict.decide(evidence, config)) for config in CONFIGS]


def _shards(cuts: list[int]) -> list[SyntheticShard]:
    edges = [0, *sorted(cuts), NUM_ROWS]
    return [SyntheticShard(first, last) for first, last in pairwise(edges)]


@settings(max_examples=5)
@given(st.lists(st.integers(0, NUM_ROWS), max_size=5))
def test_any_cut_gives_the_decision_of_one_place(in_one_place: list[str], tmp_path_factory, cuts: list[int]) -> None:
    scratch = tmp_path_factory.mktemp("scratch")
    totals = decide_shards(_shards(cuts), CONFIGS, each=in_turn, scratch=scratch)
    assert [total.digest for total in totals] == in_one_place
    assert all(sum(total.counts.values()) == NUM_ROWS for total in totals)
    assert list(scratch.iterdir()) == []


def test_every_stage_takes_something(tmp_path: Path) -> None:
    evidence = Evidence(synthetic.columns(0, NUM_ROWS), features=synthetic.features(0, NUM_ROWS).__getitem__)
    decision = verdict.decide(evidence, BALANCED)
    found = {decision.names[place] for place in np.unique(decision.first_reason) if place >= 0}
    wanted = {"unreadable", "too_small", "blurred", "dull", "duplicate_exact", "duplicate_near", "over_represented", "over_quota"}
    assert found == wanted
    codes, names = evidence.leaves("category")
    kept = np.bincount(codes[decision.is_kept], minlength=len(names))
    assert kept[names.index("leaf-000")] == 20
    assert kept[names.index("leaf-001")] == 0


def test_duplicates_found_in_files_are_those_found_in_memory(in_one_place: list[str], tmp_path: Path) -> None:
    small = apply(BALANCED, [f"dedup.memory_bytes={1 << 20}"])
    rows = 12_000
    shards = [SyntheticShard(first, first + 3_000) for first in range(0, rows, 3_000)]
    both = decide_shards(shards, [small, BALANCED], each=in_turn, scratch=tmp_path)
    assert both[0] == both[1]


def test_cells_are_refused_by_name(tmp_path: Path) -> None:
    cells = CellAxis(branching=(4,), thresholds=(10.0,), seed=0)
    balanced = BalanceConfig(leaves=None, words=None, cells=cells, gives="draws")
    rules: DecisionConfig = RULES.model_copy(update={"balance": balanced})
    with pytest.raises(UserError, match="cells of features need all features in one place"):
        decide_shards(_shards([]), [rules], each=in_turn, scratch=tmp_path)


def test_shards_know_their_first_rows() -> None:
    assert first_rows(_shards([1000, 1000, 3000])) == [0, 1000, 1000, 3000]
