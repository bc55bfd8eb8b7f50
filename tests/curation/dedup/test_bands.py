"""Banding misses no close pair, however it is cut up, and names each once."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.dedup import bands
from curation.dedup.bands import bands_for, close_pairs


def _found(hashes: np.ndarray, max_bits: int, **how) -> list[tuple[int, int]]:
    blocks = list(close_pairs(hashes, max_bits, **how))
    return sorted((ours, theirs) for block in blocks for ours, theirs in zip(*map(np.ndarray.tolist, block), strict=True))


def _by_hand(hashes: np.ndarray, max_bits: int) -> list[tuple[int, int]]:
    values = hashes.tolist()
    return [(a, b) for a, b in combinations(range(len(values)), 2) if (values[a] ^ values[b]).bit_count() <= max_bits]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=12), st.integers(0, 16), st.integers(0, 2**32))
def test_every_close_pair_is_found_once(values: list[int], max_bits: int, seed: int) -> None:
    """Neighbours are planted: each value again with up to `max_bits` + 1 bits turned."""
    generator = np.random.default_rng(seed)
    turned = [value ^ sum(1 << bit for bit in generator.choice(64, max_bits + 1, replace=False).tolist()) for value in values]
    fewer = [value ^ sum(1 << bit for bit in generator.choice(64, max_bits, replace=False).tolist()) for value in values]
    hashes = np.array(values + turned + fewer, np.uint64)
    assert _found(hashes, max_bits) == _by_hand(hashes, max_bits)


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(0, 3))
def test_crowded_bands_are_split_without_loss(seed: int, max_bits: int) -> None:
    """Hashes with few bits that differ crowd into the same buckets at every level."""
    generator = np.random.default_rng(seed)
    free = sum(1 << bit for bit in generator.choice(64, 18, replace=False).tolist())
    hashes = generator.integers(0, 2**64, 90, dtype=np.uint64) & np.uint64(free)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands, "CROWD", 6)
        patch.setattr(bands, "BLOCK_ROWS", 8)
        assert _found(hashes, max_bits) == _by_hand(hashes, max_bits)


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.integers(0, 2))
def test_bands_that_are_combined_with_others_find_the_same(seed: int, max_bits: int) -> None:
    generator = np.random.default_rng(seed)
    hashes = generator.integers(0, 2**64, 60, dtype=np.uint64)
    hashes[30:] = hashes[:30]
    for _ in range(max_bits + 1):
        hashes[30:] ^= np.uint64(1) << generator.integers(0, 64, 30, dtype=np.uint64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands, "FULL", 0)
        assert _found(hashes, max_bits) == _by_hand(hashes, max_bits)


@pytest.mark.parametrize("max_bits", [0, 3, 6])
def test_spilling_to_files_changes_nothing(max_bits: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(max_bits)
    hashes = generator.integers(0, 2**64, 3000, dtype=np.uint64)
    hashes[1500:] = hashes[:1500] ^ np.uint64(0b101)
    mapped = np.memmap(tmp_path / "hashes", np.uint64, "w+", shape=(3000,))
    mapped[:] = hashes
    assert _found(mapped, max_bits, budget_bytes=3000, scratch=tmp_path) == _by_hand(hashes, max_bits)
    assert [path.name for path in tmp_path.iterdir()] == ["hashes"]


def test_three_bits_take_four_bands_of_sixteen() -> None:
    assert bands_for(3) == ((0, 16), (16, 32), (32, 48), (48, 64))
