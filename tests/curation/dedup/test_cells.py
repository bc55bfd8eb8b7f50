"""Cells of features: bounded, exact in arithmetic, the same in any order of rows, and near pairs meet."""

import numpy as np
import pytest

from curation.dedup.cells import NORM, capped_cells, codes_in, cosines, fit_tree, rounded
from curation.draws import mixed

WIDTH = 24


def _clouds(num: int, seed: int = 0, *, spread: float = 0.3) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(20, WIDTH))
    return (centres[generator.integers(20, size=num)] + spread * generator.normal(size=(num, WIDTH))).astype(np.float32)


def _hashes(num: int) -> np.ndarray:
    return mixed(np.arange(num, dtype=np.uint64))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
def test_dot_products_of_rounded_vectors_are_exact(dtype: type) -> None:
    vectors = rounded((_clouds(200) * 20).astype(dtype))
    assert np.allclose(np.linalg.norm(vectors, axis=1), NORM, rtol=2e-3)
    assert np.array_equal(vectors @ vectors.T, (vectors.astype(np.int64) @ vectors.astype(np.int64).T).astype(np.float32))


def test_cosines_are_close_to_those_of_the_features_themselves() -> None:
    vectors = _clouds(400)
    pairs = np.random.default_rng(1).integers(0, 400, (2, 500))
    units = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
    truth = np.einsum("nd,nd->n", units[pairs[0]], units[pairs[1]])
    assert np.abs(cosines(pairs[0], pairs[1], vectors.__getitem__, width=WIDTH) - truth).max() < 2e-3
    same = np.arange(400)
    assert np.abs(cosines(same, same, vectors.__getitem__, width=WIDTH) - 1).max() < 1e-12


def test_cells_are_capped_and_hold_every_row() -> None:
    vectors = _clouds(3000)
    cells = list(capped_cells(np.arange(3000), _hashes(3000), vectors.__getitem__, cap=100, probes=2, seed=0))
    assert max(map(len, cells)) <= 100
    assert len(np.unique(np.concatenate(cells))) > 2990     # a row alone in a cell has nobody to be compared with


def test_nearly_all_near_pairs_meet_in_a_cell() -> None:
    vectors = _clouds(4000)
    vectors[2000:] = vectors[:2000] + 0.03 * np.random.default_rng(5).normal(size=(2000, WIDTH))
    met = np.zeros(2000, bool)
    for cell in capped_cells(np.arange(4000), _hashes(4000), vectors.__getitem__, cap=128, probes=2, seed=0):
        originals = cell[cell < 2000]
        met[originals[np.isin(originals + 2000, cell)]] = True
    assert met.mean() > 0.995


def test_the_order_of_rows_changes_no_cell() -> None:
    vectors, hashes = _clouds(1000), _hashes(1000)
    order = np.random.default_rng(2).permutation(1000)

    def cells(rows: np.ndarray) -> set[frozenset[int]]:
        found = capped_cells(np.arange(1000), hashes[rows], vectors[rows].__getitem__, cap=64, probes=2, seed=3)
        return {frozenset(rows[cell].tolist()) for cell in found}

    assert cells(np.arange(1000)) == cells(order)


def test_equal_features_do_not_recurse_for_ever() -> None:
    vectors = np.ones((500, WIDTH), np.float32)
    cells = list(capped_cells(np.arange(500), _hashes(500), vectors.__getitem__, cap=50, probes=1, seed=0))
    assert max(map(len, cells)) <= 50
    assert len(np.unique(np.concatenate(cells))) == 500


def test_nested_cells_refine_each_other_and_parts_of_a_table_get_the_same() -> None:
    vectors = _clouds(2000)
    tree = fit_tree(np.arange(2000), _hashes(2000), vectors.__getitem__, branching=(5, 4), seed=0)
    coarse, fine = codes_in(tree, np.arange(2000), vectors.__getitem__)
    assert np.array_equal(fine // 4, coarse)
    assert len(np.unique(coarse)) == 5
    part = np.arange(700, 1100)
    assert np.array_equal(codes_in(tree, part, vectors.__getitem__)[1], fine[part])
