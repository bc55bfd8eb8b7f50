"""All pairs of 64-bit hashes that differ in few bits.

Two hashes that differ in at most k bits agree in at least one of k + 1 bands of bits, so only hashes that share a band are
compared: none is missed (the pigeonhole argument of Manku, Jain and Das Sarma 2007). A band that too many hashes share is
split again by the same argument on the bits that are left, so the number of comparisons grows little faster than the number
of hashes. Above a budget of memory, hashes are first dealt out to files by the leading bits of the band (one pass of a radix
sort) and each file is worked on alone.

n hashes · p pairs
"""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt64

HASH_BITS = 64
BLOCK_ROWS = 1 << 14
"""Hashes compared at once: few enough to stay in a processor's cache."""
FULL = 512
"""With more hashes a bucket on the average, a band is combined with bands of the other bits; both ways take as long at this."""
CROWD = 1024
"""A single bucket with more hashes is split by further bands."""
WORTH_BITS = 4
"""A crowd is split when its finer bands have at least so many bits; with fewer, comparing all with all costs less."""
_BYTES_A_ROW = 64
"""Of memory while a partition is worked on: hashes, positions, keys, order."""


class Pairs(NamedTuple):
    """Positions of hashes, `ours` < `theirs` in each pair."""

    ours: Int64[np.ndarray, "p"]
    theirs: Int64[np.ndarray, "p"]


class Band(NamedTuple):
    """Bits `low` to `high` - 1."""

    low: int
    high: int

    @property
    def mask(self) -> np.uint64:
        """The bits of the band."""
        return np.uint64(((1 << (self.high - self.low)) - 1) << self.low)


def bands_for(max_bits: int) -> tuple[Band, ...]:
    """The `max_bits` + 1 bands that 64 bits are cut into; for 3 bits, 4 bands of 16."""
    edges = np.linspace(0, HASH_BITS, max_bits + 2).round().astype(int).tolist()
    return tuple(Band(low, high) for low, high in pairwise(edges))


def close_pairs(
    hashes: UInt64[np.ndarray, "n"], max_bits: int, *, budget_bytes: int = 1 << 30, scratch: Path | None = None
) -> Iterator[Pairs]:
    """Each pair of positions whose hashes differ in at most `max_bits` bits, once, in blocks.

    Args:
        hashes: an array, or one mapped from a file; equal hashes are pairs too.
        max_bits: 0 to 31.
        budget_bytes: of memory; more is spilled to files.
        scratch: folder for those files, the system's own place for temporary ones when None.
    """
    for number, band in enumerate(bands_for(max_bits)):
        for positions, values in _partitions(hashes, band, budget_bytes, scratch):
            for ours, theirs in pairs_sharing(values, number, max_bits):
                first, second = positions[ours], positions[theirs]
                yield Pairs(np.minimum(first, second), np.maximum(first, second))


def pairs_sharing(values: UInt64[np.ndarray, "n"], number: int, max_bits: int) -> Iterator[Pairs]:
    """The pairs of `close_pairs` whose first common band is band `number`; all bands together give each pair once."""
    masks = tuple(band.mask for band in bands_for(max_bits))
    for ours, theirs in _narrowed(values, masks, number, max_bits):
        yield Pairs(np.minimum(ours, theirs), np.maximum(ours, theirs))


def repeated(
    hashes: UInt64[np.ndarray, "n"], *, budget_bytes: int = 1 << 30, scratch: Path | None = None
) -> tuple[Bool[np.ndarray, "n"], Bool[np.ndarray, "n"]]:
    """Whether another position has the same hash, and whether the position is the first with its hash."""
    has_company, is_first = np.zeros(len(hashes), bool), np.ones(len(hashes), bool)
    for positions, values in _partitions(hashes, Band(0, HASH_BITS), budget_bytes, scratch):
        order = np.argsort(values, kind="stable")
        is_equal = values[order][1:] == values[order][:-1]
        has_company[positions[order[1:][is_equal]]] = has_company[positions[order[:-1][is_equal]]] = True
        is_first[positions[order[1:][is_equal]]] = False
    return has_company, is_first


def _partitions(
    hashes: UInt64[np.ndarray, "n"], band: Band, budget_bytes: int, scratch: Path | None
) -> Iterator[tuple[Int64[np.ndarray, "b"], UInt64[np.ndarray, "b"]]]:
    """Positions and hashes, in parts that fit the budget and tear no bucket of the band apart."""
    width = band.high - band.low
    num_parts_bits = min(width, 8, max(0, int(np.ceil(np.log2(max(1, len(hashes) * _BYTES_A_ROW / budget_bytes))))))
    if num_parts_bits == 0:
        yield np.arange(len(hashes), dtype=np.int64), np.asarray(hashes)
        return
    shift = np.uint64(band.high - num_parts_bits)
    with TemporaryDirectory(prefix="bands-", dir=scratch) as folder, ExitStack() as stack:
        names = [Path(folder, f"{part}.bin") for part in range(1 << num_parts_bits)]
        files = [stack.enter_context(name.open("wb")) for name in names]
        for start in range(0, len(hashes), 1 << 20):
            block = np.asarray(hashes[start : start + (1 << 20)])
            parts = ((block >> shift) & np.uint64(len(files) - 1)).astype(np.uint8)
            order = np.argsort(parts, kind="stable")
            lines = np.stack([block[order], (order + start).astype(np.uint64)], axis=1)
            for file, rows in zip(files, np.split(lines, np.searchsorted(parts[order], np.arange(1, len(files)))), strict=True):
                rows.tofile(file)
        for file, name in zip(files, names, strict=True):
            file.close()
            rows = np.fromfile(name, np.uint64).reshape(-1, 2)
            yield rows[:, 1].astype(np.int64), np.ascontiguousarray(rows[:, 0])


def _narrowed(
    values: UInt64[np.ndarray, "n"], masks: tuple[np.uint64, ...], number: int, max_bits: int
) -> Iterator[Pairs]:
    """Pairs that agree under mask `number` and no earlier one; when all its buckets are large, by bands of the other bits too."""
    width = int(masks[number]).bit_count()
    if len(values) <= FULL << width or HASH_BITS - width < WORTH_BITS * (max_bits + 1):
        yield from _agreeing(values, masks, number, max_bits)
        return
    finer = tuple(masks[number] | mask for mask in _split(~masks[number], max_bits + 1))
    for part in range(len(finer)):
        for ours, theirs in _narrowed(values, finer, part, max_bits):
            differing = values[ours] ^ values[theirs]
            is_first = _agree_nowhere(differing, masks[:number])
            yield Pairs(ours[is_first], theirs[is_first])


def _agreeing(
    values: UInt64[np.ndarray, "n"], masks: tuple[np.uint64, ...], number: int, max_bits: int
) -> Iterator[Pairs]:
    """Pairs that agree under mask `number`, differ under every earlier one, and differ in few bits altogether."""
    keys = _compact(values & masks[number], masks[number])
    order = np.argsort(keys, kind="stable" if keys.dtype == np.uint16 else None)
    ordered, keys = values[order], keys[order]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.empty(0, np.int64)
    sizes = np.diff(np.append(starts, len(keys)))
    is_crowd = sizes > CROWD
    small = np.flatnonzero(np.repeat(~is_crowd, sizes))
    for found in _within(ordered[small], sizes[~is_crowd], masks[number], max_bits):
        yield from _first_here(ordered, order, Pairs(small[found.ours], small[found.theirs]), masks[:number])
    for start, size in zip(starts[is_crowd].tolist(), sizes[is_crowd].tolist(), strict=True):
        for found in _within_crowd(ordered[start : start + size], max_bits):
            yield from _first_here(ordered, order, Pairs(found.ours + start, found.theirs + start), masks[:number])


def _within_crowd(crowd: UInt64[np.ndarray, "n"], max_bits: int) -> Iterator[Pairs]:
    """Close pairs of many hashes that agree in a band, by bands of the bits in which they do differ somewhere."""
    varying = np.bitwise_or.reduce(crowd ^ crowd[0])
    if int(varying).bit_count() < WORTH_BITS * (max_bits + 1):
        yield from _within(crowd, np.array([len(crowd)]), np.uint64(0), max_bits)
        return
    finer = _split(varying, max_bits + 1)
    for number in range(len(finer)):
        yield from _agreeing(crowd, finer, number, max_bits)


def _within(ordered: UInt64[np.ndarray, "n"], sizes: np.ndarray, mask: np.uint64, max_bits: int) -> Iterator[Pairs]:
    """Close pairs of sorted hashes inside each bucket: every hash against the one `lag` places on, for each lag in turn.

    Neighbours that belong to different buckets are compared too, which costs less than asking first; they differ under the mask.
    """
    ends = np.cumsum(sizes)
    cuts = np.append(-1, np.flatnonzero(np.diff(ends // BLOCK_ROWS)))          # last bucket of every block but the last
    for first, last in pairwise([*(cuts + 1).tolist(), len(sizes)]):
        if first == last:
            continue
        start, longest = int(ends[first] - sizes[first]), int(sizes[first:last].max())
        block = ordered[start : int(ends[last - 1])]
        for lag in range(1, longest):
            differing = block[:-lag] ^ block[lag:]
            near = np.flatnonzero(np.bitwise_count(differing) <= max_bits)
            near = near[(differing[near] & mask) == 0]
            if len(near):
                yield Pairs(near + start, near + start + lag)


def _first_here(
    ordered: UInt64[np.ndarray, "n"], order: Int64[np.ndarray, "n"], pairs: Pairs, earlier: tuple[np.uint64, ...]
) -> Iterator[Pairs]:
    """The pairs, by their positions before sorting, that no earlier mask has brought together."""
    differing = ordered[pairs.ours] ^ ordered[pairs.theirs]
    is_first = _agree_nowhere(differing, earlier)
    if is_first.any():
        yield Pairs(order[pairs.ours[is_first]], order[pairs.theirs[is_first]])


def _agree_nowhere(differing: UInt64[np.ndarray, "p"], masks: tuple[np.uint64, ...]) -> Bool[np.ndarray, "p"]:
    """Whether some bit differs under each of the masks."""
    return np.logical_and.reduce([np.ones(len(differing), bool), *((differing & mask) != 0 for mask in masks)])


def _split(bits: np.uint64, num_parts: int) -> tuple[np.uint64, ...]:
    """The set bits dealt out to masks, neighbours together."""
    places = [place for place in range(HASH_BITS) if int(bits) >> place & 1]
    edges = np.linspace(0, len(places), num_parts + 1).round().astype(int).tolist()
    return tuple(np.uint64(sum(1 << place for place in places[low:high])) for low, high in pairwise(edges))


def _compact(values: UInt64[np.ndarray, "n"], mask: np.uint64) -> np.ndarray:
    """The masked bits moved down, in the narrowest type: 16 bits are sorted by radix, far faster than 64."""
    low = (int(mask) & -int(mask)).bit_length() - 1
    moved = values >> np.uint64(low)
    return moved.astype(np.uint16) if int(mask) >> low < 1 << 16 else moved
