"""Which leaf a row belongs to, from its stored scores; and keeping stored scores up to date.

Scores are stored sparsely: per row a list of (leaf, score), highest first, of the leaves whose score reached the measuring
configuration's `min_stored`. A leaf that is not in the list scored below that. Nothing here looks at captions or pictures, so
other limits are tried in a pass over one column. With every column goes a digest per leaf (`LeafScorer.digests`): leaves whose
digest differs from the stored one, or that have none, are all that must be measured again.
"""

from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64
from pydantic import BaseModel, Field

LEAF_SCORE = pa.struct([pa.field("leaf", pa.string()), pa.field("score", pa.float32())])
LEAF_SCORES = pa.list_(LEAF_SCORE)
"""Type of the column of scores: highest first, equal scores by leaf id."""

LEAF_SCHEMA = pa.schema(
    [
        pa.field("leaf", pa.string()),                      # id of the best leaf, or UNASSIGNED
        pa.field("leaf_score", pa.float32()),               # its score in [0, 1]; null when unassigned
        pa.field("further_leaves", LEAF_SCORES),            # others that reach the limit, highest first
    ]
)
"""Columns of the leaf of every row."""

UNASSIGNED = "unassigned"
"""The outcome for a row that fits no leaf well enough; a leaf's id always holds a slash, so it is never one."""


class AssignmentConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """When a row belongs to a leaf."""

    min_score: float = Field(gt=0, le=1)
    """A leaf below this is neither primary nor further."""
    max_further: int = Field(ge=0)
    """Most leaves beside the primary one."""


def assign(scores: pa.ListArray, config: AssignmentConfig) -> pa.Table:
    """Rows of LEAF_SCHEMA: the best leaf if it reaches `min_score`, up to `max_further` more that do, else UNASSIGNED."""
    rows, leaves, values = _flat(scores)
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    reaches = values >= np.float32(config.min_score)
    first = reaches & (rank == 0)
    primary = np.full(len(scores), UNASSIGNED, dtype=object)
    primary[rows[first]] = leaves.filter(pa.array(first)).to_numpy(zero_copy_only=False)
    best = np.full(len(scores), np.nan, dtype=np.float32)
    best[rows[first]] = values[first]
    further = _listed(rows, leaves, values, keep=reaches & (rank > 0) & (rank <= config.max_further), num_rows=len(scores))
    best_column = pa.array(best, mask=np.isnan(best))
    return pa.table([pa.array(primary, pa.string()), best_column, further], schema=LEAF_SCHEMA)


def missing_leaves(known: Mapping[str, str], current: Mapping[str, str]) -> tuple[str, ...]:
    """Leaves to measure, sorted: those whose digest is not the known one. Both map leaf ids to digests."""
    return tuple(sorted(leaf for leaf, digest in current.items() if known.get(leaf) != digest))


def merge_scores(
    stored: pa.ListArray, fresh: pa.ListArray, *, measured: Collection[str], leaves: Collection[str]
) -> pa.ListArray:
    """Stored scores with those of the `measured` leaves replaced by fresh ones, and leaves outside `leaves` dropped.

    Args:
        stored: scores as they were; a null row counts as no scores.
        fresh: scores of the same rows for the measured leaves only.
        measured: leaves that `fresh` speaks for; without an entry there, a leaf has no score any more.
        leaves: all leaves of the current taxonomy.
    """
    if len(stored) != len(fresh):
        raise ValueError(f"stored scores have {len(stored)} rows, fresh ones {len(fresh)}; merge scores of the same rows")
    lasting = set(leaves) - set(measured)
    old_rows, old_leaves, old_values = _flat(stored)
    places, names = _numbered(old_leaves)
    kept = np.array([name in lasting for name in names], dtype=bool)[places]
    new_rows, new_leaves, new_values = _flat(fresh)
    joined = pa.concat_arrays([old_leaves.filter(pa.array(kept)), new_leaves])
    rows = np.concatenate([old_rows[kept], new_rows])
    return scores_column(rows, joined, np.concatenate([old_values[kept], new_values]), num_rows=len(stored))


def scores_column(rows: Int64[np.ndarray, "n"], leaves: pa.Array, values: np.ndarray, *, num_rows: int) -> pa.ListArray:
    """LEAF_SCORES from loose entries: `values[i]` is what row `rows[i]` scored for leaf `leaves[i]`."""
    places, _ = _numbered(leaves)
    order = np.lexsort((places, -values, rows))
    everything = np.ones(len(rows), dtype=bool)
    return _listed(rows[order], leaves.take(pa.array(order)), values[order], keep=everything, num_rows=num_rows)


def _flat(scores: pa.ListArray) -> tuple[Int64[np.ndarray, "n"], pa.Array, np.ndarray]:
    """Row number, leaf and score of every entry; null rows have none."""
    entries = scores.flatten()
    lengths = np.asarray(scores.value_lengths().fill_null(0), dtype=np.int64)
    rows = np.repeat(np.arange(len(scores), dtype=np.int64), lengths)
    return rows, entries.field("leaf"), np.asarray(entries.field("score"), dtype=np.float32)


def _numbered(leaves: pa.Array) -> tuple[Int64[np.ndarray, "n"], list[str]]:
    """The place of every leaf in the sorted list of those that occur, and that list."""
    encoded = leaves.dictionary_encode()
    seen: list[str] = encoded.dictionary.to_pylist()
    names = sorted(seen)
    place = {name: number for number, name in enumerate(names)}
    by_code = np.array([place[name] for name in seen], dtype=np.int64)
    return by_code[np.asarray(encoded.indices, dtype=np.int64)], names


def _listed(
    rows: Int64[np.ndarray, "n"], leaves: pa.Array, values: np.ndarray, *, keep: Bool[np.ndarray, "n"], num_rows: int
) -> pa.ListArray:
    """A list per row of the kept entries, which are in the order of the rows."""
    offsets = np.searchsorted(rows[keep], np.arange(num_rows + 1)).astype(np.int32)
    kept = [leaves.filter(pa.array(keep)), pa.array(values[keep], pa.float32())]
    entries = pa.StructArray.from_arrays(kept, fields=list(LEAF_SCORE))
    return pa.ListArray.from_arrays(pa.array(offsets), entries, type=LEAF_SCORES)
