"""Cells of rows with similar features: mini-batch k-means of our own, repeated inside every cell that holds too many rows.

Features are rounded to whole numbers at a norm of 2048 before anything is computed from them. Dot products are then sums of
whole numbers below 2^23, exact in fp32 in whatever order they are added: cells and cosines come out the same in any block, on
any worker, with any BLAS, and a cosine is wrong by less than 10^-3 · (1 - cosine) + 10^-5. Training samples are drawn by
keyed hash.

Re-implemented from Sculley 2010 ("Web-Scale K-Means Clustering") and the idea of hierarchical k-means for curation (Vo et al.
2024); the authors' code is for non-commercial use and was not consulted.

n rows · d width · k cells · m probes
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt64

from curation.draws import key_hash, mixed

NORM = 2048.0
"""Length of a rounded vector: the largest power of two whose square leaves room below 2^24, where fp32 ends to be exact."""
BLOCK_BYTES = 64 << 20
"""Of features in memory at once."""
SAMPLES_A_CELL = 48
"""Rows that a cell's centre is fitted on."""
MOST_BRANCHES = 256
_ROUNDS = 6
"""Passes over the sample."""

FeatureLookup = Callable[[Int64[np.ndarray, "b"]], np.ndarray]
"""From row numbers to features of any numeric type: an array in memory, one mapped from a file, or a column."""


class CellTree(NamedTuple):
    """Centres of nested cells; level l has branching[0] · … · branching[l] cells, children of one cell side by side."""

    branching: tuple[int, ...]
    centres: tuple[Float32[np.ndarray, "k d"], ...]


def rounded(features: np.ndarray) -> Float32[np.ndarray, "n d"]:
    """Vectors of norm 2048 with whole components; a zero vector stays zero."""
    vectors = np.asarray(features, np.float32)
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    return np.rint(vectors * (NORM / np.maximum(norms, 1e-12))[:, None].astype(np.float32))


def block_rows(width: int) -> int:
    """Rows of features that are held in memory at once."""
    return max(256, BLOCK_BYTES // (4 * max(width, 1)))


def cosines(
    ours: Int64[np.ndarray, "p"], theirs: Int64[np.ndarray, "p"], features: FeatureLookup, *, width: int
) -> Float64[np.ndarray, "p"]:
    """Cosine of the features of each pair of rows; every row of a block is looked up once."""
    found = np.empty(len(ours), np.float64)
    step = block_rows(width) // 2
    for start in range(0, len(ours), step):
        ends = np.stack([ours[start : start + step], theirs[start : start + step]])
        rows, places = np.unique(ends, return_inverse=True)
        vectors = rounded(features(rows))
        norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
        first, second = places.reshape(ends.shape)
        dots = np.einsum("nd,nd->n", vectors[first], vectors[second], dtype=np.float64)
        found[start : start + step] = dots / np.maximum(norms[first] * norms[second], 1e-12)
    return found


def fit_tree(
    rows: Int64[np.ndarray, "n"], hashes: UInt64[np.ndarray, "n"], features: FeatureLookup, *, branching: tuple[int, ...],
    seed: int,
) -> CellTree:  # fmt: skip
    """Nested cells fitted on a keyed sample of the rows.

    Args:
        hashes: of the rows' ids; they, not the order of the rows, decide what is sampled and where centres begin.
    """
    num_leaves = int(np.prod(branching))
    sample = keyed_order(hashes, seed)[: SAMPLES_A_CELL * num_leaves]
    vectors = rounded(features(rows[sample]))
    centres: list[np.ndarray] = []
    codes = np.zeros(len(vectors), np.int64)
    num_parents = 1
    for branches in branching:
        fitted = [_fitted(vectors[codes == parent], branches) for parent in range(num_parents)]
        level = np.concatenate(fitted) if fitted else np.empty((0, vectors.shape[1]), np.float32)
        codes = _children(vectors, codes, level, branches)
        centres.append(level)
        num_parents *= branches
    return CellTree(branching, tuple(centres))


def codes_in(tree: CellTree, rows: Int64[np.ndarray, "n"], features: FeatureLookup) -> list[Int64[np.ndarray, "n"]]:
    """The cell of every row, level by level, the coarsest first."""
    codes = [np.zeros(len(rows), np.int64) for _ in tree.branching]
    step = block_rows(tree.centres[0].shape[1])
    for start in range(0, len(rows), step):
        vectors, parents = rounded(features(rows[start : start + step])), None
        for level, (branches, centres) in enumerate(zip(tree.branching, tree.centres, strict=True)):
            parents = np.zeros(len(vectors), np.int64) if parents is None else parents
            parents = _children(vectors, parents, centres, branches)
            codes[level][start : start + step] = parents
    return codes


def capped_cells(
    rows: Int64[np.ndarray, "n"], hashes: UInt64[np.ndarray, "n"], features: FeatureLookup, *, cap: int, probes: int, seed: int
) -> Iterator[Int64[np.ndarray, "b"]]:
    """Row numbers of every cell, none with more than `cap`; a row is in the `probes` nearest cells of every split.

    Rows near a border are in the cells of both sides, so that what is cut apart in one is together in another. A cell that does
    not come apart (its features are all but equal) is cut into runs in the order of the rows' hashes.
    """
    if len(rows) <= cap:
        if len(rows) > 1:
            yield rows
        return
    order = keyed_order(hashes, seed)
    branches = min(MOST_BRANCHES, -(-2 * probes * len(rows) // cap))
    centres = _fitted(rounded(features(rows[order[: SAMPLES_A_CELL * branches]])), branches)
    nearest = _nearest(rows, features, centres, probes)
    for cell in range(branches):
        members = np.flatnonzero((nearest == cell).any(axis=1))
        if len(members) > 0.9 * len(rows):
            yield from _runs(rows, order, cap)
            return
        yield from capped_cells(rows[members], hashes[members], features, cap=cap, probes=probes, seed=seed + 1)


def keyed_order(hashes: UInt64[np.ndarray, "n"], seed: int) -> Int64[np.ndarray, "n"]:
    """A permutation that the ids' hashes and the seed decide."""
    return np.argsort(mixed(hashes ^ np.uint64(key_hash("cells", seed))), kind="stable")


def _runs(rows: Int64[np.ndarray, "n"], order: Int64[np.ndarray, "n"], cap: int) -> Iterator[Int64[np.ndarray, "b"]]:
    """Runs of `cap` rows that overlap by half."""
    for start in range(0, max(1, len(order) - cap // 2), max(1, cap // 2)):
        yield rows[order[start : start + cap]]


def _fitted(vectors: Float32[np.ndarray, "n d"], branches: int) -> Float32[np.ndarray, "k d"]:
    """Centres by mini-batch k-means on the sphere, begun from the first vectors; whole components, as `rounded` gives."""
    if not len(vectors):
        return np.zeros((branches, vectors.shape[1]), np.float32)
    centres = vectors[np.arange(branches) % len(vectors)].copy()
    counts = np.ones(branches, np.float64)
    sums = centres.astype(np.float64)
    batch = max(1024, 4 * branches)
    for _ in range(_ROUNDS):
        for start in range(0, len(vectors), batch):
            part = vectors[start : start + batch]
            nearest = np.argmax(part @ centres.T, axis=1)
            order = np.argsort(nearest, kind="stable")
            cells, firsts = np.unique(nearest[order], return_index=True)
            sums[cells] += np.add.reduceat(part[order].astype(np.float64), firsts, axis=0)
            counts[cells] += np.diff(np.append(firsts, len(order)))
            centres[cells] = rounded((sums[cells] / counts[cells, None]).astype(np.float32))
    return centres


def _nearest(
    rows: Int64[np.ndarray, "n"], features: FeatureLookup, centres: Float32[np.ndarray, "k d"], probes: int
) -> Int64[np.ndarray, "n m"]:
    """The nearest centres of every row; of equally near ones the first."""
    probes = min(probes, len(centres))
    found = np.empty((len(rows), probes), np.int64)
    step = min(block_rows(centres.shape[1]), block_rows(len(centres)))
    for start in range(0, len(rows), step):
        dots = rounded(features(rows[start : start + step])) @ centres.T
        for probe in range(probes):
            best = np.argmax(dots, axis=1)
            found[start : start + step, probe] = best
            dots[np.arange(len(dots)), best] = -np.inf
    return found


def _children(
    vectors: Float32[np.ndarray, "n d"], parents: Int64[np.ndarray, "n"], centres: Float32[np.ndarray, "k d"], branches: int
) -> Int64[np.ndarray, "n"]:
    """The nearest of each vector's own parent's children."""
    codes = np.zeros(len(vectors), np.int64)
    order = np.argsort(parents, kind="stable")
    present, firsts = np.unique(parents[order], return_index=True)
    for parent, members in zip(present.tolist(), np.split(order, firsts[1:]), strict=True):
        own = centres[parent * branches : (parent + 1) * branches]
        codes[members] = parent * branches + np.argmax(vectors[members] @ own.T, axis=1)
    return codes
