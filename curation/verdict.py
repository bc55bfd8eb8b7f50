"""Which rows are kept, and for each other row every reason why not.

Deciding reads measured columns only, so it can be repeated with other limits in seconds. Every row ends in exactly one of
kept, dropped or quarantined. Duplicates are decided over all rows at once: of equal pictures the one with the lowest id
stays; a near-duplicate must agree in perceptual hash AND features AND style, tone, gender and colour words, because pictures
that differ in such a word are what edits are learned from. Composed pictures resemble their parents on purpose: only equal
pixels count against them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64, UInt64
from pydantic import BaseModel, Field

from curation.signals.hashes import bit_distance
from curation.tables import REASONS

JUDGED_COLUMNS: tuple[str, ...] = (
    "id", "text_en", "style", "tone", "gender", "colour", "parents",
    "width_px", "height_px", "exact_hash", "perceptual_hash", "sharpness", "alpha_cover", "verdict", "verdict_reasons",
)  # fmt: skip
"""What `judge` reads; features are asked for separately, for the few rows that need them."""

FeatureLookup = Callable[[Int64[np.ndarray, "b"]], Float32[np.ndarray, "b d"]]
"""From row numbers to their image features."""


class LimitsConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What a picture must reach to be kept."""

    min_side_px: int = Field(ge=0)
    """Shorter side, in pixels of the picture as received."""
    min_alpha_cover: float = Field(ge=0, le=1)
    """Share of pixels more opaque than not; a picture at or below 0 shows nothing and is dropped at any limit."""
    min_sharpness: float = Field(ge=0)
    """Variance of the Laplacian of luma."""
    near_duplicate_bits: int = Field(ge=0, le=16)
    """Largest difference of perceptual hashes between near-duplicates."""
    near_duplicate_cosine: float = Field(ge=-1, le=1)
    """Smallest cosine of image features between near-duplicates."""


class Judgement(NamedTuple):
    """A row's verdict (`tables.Verdict`) and every reason, in the order of `tables.REASONS`; no reasons when kept."""

    verdict: str
    reasons: tuple[str, ...]


def judge(rows: pa.Table, limits: LimitsConfig, *, features_at: FeatureLookup) -> list[Judgement]:
    """One judgement a row of a table with `JUDGED_COLUMNS`; rows already quarantined stay so."""
    columns = rows.select(list(JUDGED_COLUMNS)).to_pydict()
    quarantined = {
        row: tuple(columns["verdict_reasons"][row]) for row, verdict in enumerate(columns["verdict"]) if verdict == "quarantined"
    }
    reasons: list[set[str]] = [set() for _ in range(rows.num_rows)]
    order = sorted(set(range(rows.num_rows)) - set(quarantined), key=columns["id"].__getitem__)
    for row in order:
        reasons[row] |= _broken_limits(columns, row, limits)
    for row in _repeats(columns["exact_hash"], order):
        reasons[row].add("duplicate_exact")
    candidates = [row for row in order if not reasons[row] and not columns["parents"][row]]
    for row in _near_repeats(columns, candidates, limits, features_at):
        reasons[row].add("duplicate_near")
    return [
        Judgement("quarantined", quarantined[row]) if row in quarantined else _decided(found)
        for row, found in enumerate(reasons)
    ]


def _decided(found: set[str]) -> Judgement:
    ordered = tuple(reason for reason in REASONS if reason in found)
    return Judgement("dropped" if ordered else "kept", ordered)


def _broken_limits(columns: dict[str, list], row: int, limits: LimitsConfig) -> set[str]:
    """Reasons that a row gives on its own."""
    cover = columns["alpha_cover"][row]
    found = {
        "too_small": min(columns["width_px"][row], columns["height_px"][row]) < limits.min_side_px,
        "blank": cover <= 0 or cover < limits.min_alpha_cover,
        "blurred": columns["sharpness"][row] < limits.min_sharpness,
        "no_text": not columns["text_en"][row].strip(),
    }
    return {reason for reason, is_broken in found.items() if is_broken}


def _repeats(keys: Sequence[str | None], order: Sequence[int]) -> Iterator[int]:
    """Rows whose key an earlier row of `order` has."""
    seen: set[str | None] = set()
    for row in order:
        if keys[row] in seen:
            yield row
        seen.add(keys[row])


def _near_repeats(
    columns: dict[str, list], candidates: Sequence[int], limits: LimitsConfig, features_at: FeatureLookup
) -> set[int]:
    """Rows that nearly repeat an earlier one that stays; never a chain, so nothing is dropped for resembling a dropped row."""
    words = [tuple(columns[name][row] for name in ("style", "tone", "gender", "colour")) for row in candidates]
    hashes = np.array([columns["perceptual_hash"][row] for row in candidates], dtype=np.uint64)
    pairs = [(a, b) for a, b in _close_pairs(hashes, limits.near_duplicate_bits) if words[a] == words[b]]
    if not pairs:
        return set()
    involved = sorted({position for pair in pairs for position in pair})
    vectors = features_at(np.array([candidates[position] for position in involved], dtype=np.int64))
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    place = {position: index for index, position in enumerate(involved)}
    dropped: set[int] = set()
    for earlier, later in sorted(pairs, key=lambda pair: (pair[1], pair[0])):
        if earlier not in dropped and vectors[place[earlier]] @ vectors[place[later]] >= limits.near_duplicate_cosine:
            dropped.add(later)
    return {candidates[position] for position in dropped}


def _close_pairs(hashes: UInt64[np.ndarray, "b"], max_bits: int) -> set[tuple[int, int]]:
    """Pairs (earlier, later) of positions whose hashes differ in at most `max_bits` bits.

    Two hashes that differ in k bits agree in at least one of k + 1 bands, so only rows that share a band are compared.
    """
    edges = np.linspace(0, 64, max_bits + 2).round().astype(int)
    pairs: set[tuple[int, int]] = set()
    for low, high in pairwise(edges.tolist()):
        mask = np.uint64(((1 << (high - low)) - 1) << low)
        buckets: dict[int, list[int]] = defaultdict(list)
        for position, band in enumerate((hashes & mask).tolist()):
            buckets[band].append(position)
        for members in buckets.values():
            pairs |= _pairs_within(hashes, members, max_bits)
    return pairs


def _pairs_within(hashes: UInt64[np.ndarray, "b"], members: Sequence[int], max_bits: int) -> set[tuple[int, int]]:
    positions = np.array(members)
    found: set[tuple[int, int]] = set()
    for index, position in enumerate(members[:-1]):
        others = positions[index + 1 :]
        near = others[bit_distance(hashes[others], hashes[position : position + 1].repeat(len(others))) <= max_bits]
        found |= {(position, other) for other in near.tolist()}
    return found
