"""Union-find agrees with scipy's connected components, in memory and in a file."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from curation.dedup.unions import Unions


def _parts_by_scipy(num: int, edges: np.ndarray) -> np.ndarray:
    """The smallest member of the component of each."""
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(num, num))
    labels = connected_components(graph, directed=False)[1]
    smallest = np.full(num, num)
    np.minimum.at(smallest, labels, np.arange(num))
    return smallest[labels]


@given(st.integers(1, 60), st.integers(0, 90), st.integers(1, 7), st.integers(0, 2**32))
def test_parts_are_connected_components_however_edges_arrive(num: int, num_edges: int, batch: int, seed: int) -> None:
    edges = np.random.default_rng(seed).integers(0, num, (num_edges, 2))
    unions = Unions(num)
    for start in range(0, num_edges, batch):
        unions.join(edges[start : start + batch, 0], edges[start : start + batch, 1])
    assert np.array_equal(unions.roots(np.arange(num)), _parts_by_scipy(num, edges))


def test_a_long_chain_in_a_file_is_one_part(tmp_path: Path) -> None:
    num = 20_000
    order = np.random.default_rng(0).permutation(num)
    unions = Unions(num, file=tmp_path / "forest")
    unions.join(order[:-1], order[1:])
    assert not unions.roots(np.arange(num)).any()
    assert (tmp_path / "forest").stat().st_size == 8 * num
