"""For rows that went as duplicates: the kept picture that each resembles most.

Decisions keep no record of who won, and clusters are not built again for it. One pass over the hashes of the kept rows finds,
for a few losers, the one with the same file, or the same words and the fewest differing bits.

l losers
"""

# pyarrow.compute makes its functions at import, where the checker cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.dedup.rule import DedupConfig


class Nearest(NamedTuple):
    """A kept row beside a loser."""

    row_id: int
    """Lance's ``_rowid``."""
    id: str
    bits: int
    """Bits in which the perceptual hashes differ; -1 when the files are the same."""


def columns_read(config: DedupConfig) -> tuple[str, ...]:
    """Columns that are compared."""
    near = () if config.near is None else (config.near.hashes, *config.near.same)
    return tuple(dict.fromkeys(("id", config.exact, *near)))


def nearest_kept(losers: pa.Table, batches: Iterable[pa.Table], config: DedupConfig) -> dict[str, Nearest]:
    """By id of the loser, the kept row that resembles it most; losers that resemble none are left out.

    Args:
        losers: a few rows with `columns_read(config)`.
        batches: kept rows with the same columns and ``_rowid``.
    """
    wanted = losers.to_pylist()
    found: dict[str, Nearest] = {}
    for rows in batches:
        for loser in wanted:
            fresh = _nearest_in(rows, loser, config)
            before = found.get(loser["id"])
            if fresh is not None and (before is None or (fresh.bits, fresh.id) < (before.bits, before.id)):
                found[loser["id"]] = fresh
    return found


def _nearest_in(rows: pa.Table, loser: dict, config: DedupConfig) -> Nearest | None:
    bits = np.full(rows.num_rows, 65)
    if config.near is not None and loser[config.near.hashes] is not None:
        bits = _differing(rows[config.near.hashes], loser[config.near.hashes])
        for name in config.near.same:
            bits[pc.fill_null(pc.not_equal(rows[name], pa.scalar(loser[name], rows[name].type)), True).to_numpy()] = 65
        bits[bits > _most_bits(config)] = 65
    bits[pc.fill_null(pc.equal(rows[config.exact], loser[config.exact]), False).to_numpy()] = -1
    if not len(bits) or bits.min() == 65:
        return None
    candidates = rows.select(["_rowid", "id"]).filter(pa.array(bits == bits.min())).sort_by("id")
    return Nearest(candidates["_rowid"][0].as_py(), candidates["id"][0].as_py(), int(bits.min()))


def _differing(hashes: pa.ChunkedArray, own: int) -> np.ndarray:
    """Bits in which each hash differs from `own`; 65 for a missing one."""
    bits = np.bitwise_count(pc.fill_null(hashes, pa.scalar(0, pa.uint64())).to_numpy() ^ np.uint64(own)).astype(np.int64)
    bits[pc.is_null(hashes).to_numpy()] = 65
    return bits


def _most_bits(config: DedupConfig) -> int:
    assert config.near is not None
    return config.near.bits if config.near.cells is None else max(config.near.bits, config.near.cells.bits)
