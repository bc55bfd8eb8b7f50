"""Clusters: planted duplicates come back, whatever the order of rows, and adding rows leaves earlier clusters as they were."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.dedup import clusters as module
from curation.dedup.clusters import clusters
from curation.dedup.rule import CellConfig, DedupConfig, NearConfig
from curation.draws import text_hashes

WIDTH = 16
CELLS = CellConfig(cosine=0.97, bits=20, rows=256, probes=2, seed=0)
CONFIG = DedupConfig(
    exact="exact", prefer=("score",), memory_bytes=1 << 24,
    near=NearConfig(hashes="hash", bits=3, cosine=0.9, same=("word",), parents=None, cells=CELLS),
)  # fmt: skip


def _planted(num: int, seed: int) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Rows, features, and the number of the original of each: 70 % originals, then copies, re-encoded ones and crops."""
    generator = np.random.default_rng(seed)
    num_originals = int(0.7 * num)
    origin = np.concatenate([np.arange(num_originals), generator.choice(num_originals, num - num_originals, replace=False)])
    hashes = generator.integers(0, 2**64, num_originals, dtype=np.uint64)[origin]
    features = generator.normal(size=(num_originals, WIDTH))[origin]
    exact = origin.copy()
    kinds = np.where(np.arange(num) < num_originals, 0, generator.integers(1, 4, num))
    for row in np.flatnonzero(kinds):
        turned = {1: 0, 2: generator.integers(0, 4), 3: generator.integers(8, 17)}[int(kinds[row])]
        hashes[row] ^= np.uint64(sum(1 << bit for bit in generator.choice(64, turned, replace=False).tolist()))
        features[row] += {1: 0, 2: 0.08, 3: 0.03}[int(kinds[row])] * generator.normal(size=WIDTH)
        exact[row] = row + num if kinds[row] > 1 else exact[row]
    rows = pa.table(
        {
            "id": [f"id-{number:05}" for number in range(num)], "exact": [f"x{code}" for code in exact], "hash": hashes,
            "word": [f"w{code % 3}" for code in origin], "score": generator.random(num),
        }
    )  # fmt: skip
    return rows, features.astype(np.float16), origin


def _clusters(rows: pa.Table, features: np.ndarray, config: DedupConfig = CONFIG, **how):
    return clusters(rows, text_hashes(rows["id"]), config, features.__getitem__, **how)


def _survivors(rows: pa.Table, found) -> np.ndarray:
    alive = np.ones(rows.num_rows, bool)
    alive[found.exact.losers(alive)] = False
    alive[found.near.losers(alive)] = False
    return alive


def test_planted_duplicates_are_found_and_nothing_else() -> None:
    rows, features, origin = _planted(4000, 0)
    found = _clusters(rows, features)
    together = found.names[:, None] == found.names[None, :]
    truth = origin[:, None] == origin[None, :]
    np.fill_diagonal(together, val=False)
    np.fill_diagonal(truth, val=False)
    exact = np.array(rows["exact"].to_pylist())
    np.logical_or(together, (exact[:, None] == exact[None, :]) & truth, out=together)
    hits = (together & truth).sum()
    assert hits / truth.sum() > 0.99       # recall of pairs
    assert hits / together.sum() > 0.99    # precision of pairs


def test_neither_kind_of_evidence_is_enough_alone() -> None:
    rows = _planted(200, 1)[0].slice(0, 4).set_column(3, "word", pa.array(["w"] * 4))
    vectors = np.eye(4, WIDTH, dtype=np.float32)
    hashes = pa.array([0, 1, 2**64 - 1, 2**63 + 5], pa.uint64())
    alike_in_hash = rows.set_column(2, "hash", hashes)
    assert not len(_clusters(alike_in_hash, vectors).near.rows)
    vectors[2] = vectors[0]
    assert not len(_clusters(alike_in_hash, vectors).near.rows)
    vectors[1] = vectors[0]
    assert sorted(_clusters(alike_in_hash, vectors).near.rows.tolist()) == [0, 1]


def test_the_best_row_stays_not_the_first_and_a_missing_score_comes_last() -> None:
    rows, features, _ = _planted(10, 0)
    rows = rows.slice(0, 3).set_column(1, "exact", pa.array(["a", "a", "a"])).set_column(4, "score", pa.array([0.1, 0.9, None]))
    found = _clusters(rows, features)
    assert found.exact.rows.tolist() == [1, 0, 2]
    assert found.exact.losers(np.array([True, False, True])).tolist() == [2]


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    rows, features, _ = _planted(120, seed)
    order = np.random.default_rng(seed).permutation(120)
    first, again = _clusters(rows, features), _clusters(rows.take(pa.array(order)), features[order])
    assert np.array_equal(first.names[order], again.names)
    assert np.array_equal(_survivors(rows, first)[order], _survivors(rows.take(pa.array(order)), again))


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 119))
def test_adding_rows_keeps_every_earlier_cluster(seed: int, num_before: int) -> None:
    rows, features, _ = _planted(120, seed)
    order = np.random.default_rng(seed).permutation(120)
    rows, features = rows.take(pa.array(order)), features[order]
    before = _clusters(rows.slice(0, num_before), features)
    earlier = np.concatenate([before.names, np.zeros(120 - num_before, np.uint64)])
    after = _clusters(rows, features, earlier=earlier)
    assert np.array_equal(after.names[:num_before], before.names)
    again = _clusters(rows, features, earlier=earlier)
    assert np.array_equal(after.names, again.names)


def test_new_rows_join_earlier_clusters() -> None:
    rows, features, origin = _planted(1000, 3)
    before = _clusters(rows.slice(0, 700), features)        # the originals
    earlier = np.concatenate([before.names, np.zeros(300, np.uint64)])
    after = _clusters(rows, features, earlier=earlier)
    assert (after.names[700:] == after.names[origin[700:]]).mean() > 0.99


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_every_member_is_confirmed_by_its_leader(seed: int) -> None:
    """Walks of few bits would chain without end; the leader has to confirm each member itself."""
    generator = np.random.default_rng(seed)
    steps = np.uint64(1) << generator.integers(0, 64, 40, dtype=np.uint64)
    hashes = np.bitwise_xor.accumulate(steps)
    rows = pa.table(
        {
            "id": [f"{number}" for number in range(40)], "exact": [f"{number}" for number in range(40)], "hash": hashes,
            "word": ["w"] * 40, "score": generator.random(40),
        }
    )  # fmt: skip
    near = NearConfig(hashes="hash", bits=3, cosine=-1, same=(), parents=None, cells=None)
    names = _clusters(rows, np.zeros((40, 0)), CONFIG.model_copy(update={"near": near})).names
    ids = text_hashes(rows["id"])
    leaders = np.array([np.flatnonzero(ids == name)[0] for name in names])
    assert (np.bitwise_count(hashes ^ hashes[leaders]) <= 3).all()
    assert (np.array(rows["score"])[leaders] >= np.array(rows["score"])).all()


@pytest.mark.parametrize("cosine", [-1.0, 0.9])
def test_a_crowd_of_one_hash_is_divided_by_features(cosine: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CROWD", 20)
    generator = np.random.default_rng(0)
    origin = np.arange(400) % 40
    features = generator.normal(size=(40, WIDTH))[origin].astype(np.float32)
    rows = pa.table(
        {
            "id": [f"{number}" for number in range(400)], "exact": [f"{number}" for number in range(400)],
            "hash": pa.array([5] * 400, pa.uint64()), "word": ["w"] * 400, "score": [1.0] * 400,
        }
    )  # fmt: skip
    near = NearConfig(hashes="hash", bits=3, cosine=cosine, same=("word",), parents=None, cells=None)
    names = _clusters(rows, features, CONFIG.model_copy(update={"near": near})).names
    assert len(np.unique(names)) == (40 if cosine > 0 else 1)
    if cosine > 0:
        assert all(len(np.unique(names[origin == one])) == 1 for one in range(40))
