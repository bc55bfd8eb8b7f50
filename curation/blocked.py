"""What was taken down does not come back: sources are listed without it, and rows that have one of its hashes are set aside."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool
from pydantic import BaseModel, Field

from curation import commit
from curation.signals import hashes
from curation.sources.protocol import ReadFailure, Shard, Source
from curation.tables import TableRef, pin
from infra.errors import UserError
from infra.storage import digest_of

REASON = "taken_down"
"""The reason of `tables.QUARANTINING` for rows that came back."""


class Near(BaseModel, frozen=True, extra="forbid"):
    """Pictures that look alike."""

    perceptual_hash: int = Field(ge=0, lt=1 << 64)
    bits: int = Field(ge=0, le=16)
    """Largest number of bits in which hashes may differ."""


class Blocked(NamedTuple):
    """What must not come back."""

    ids: frozenset[str]
    sources: frozenset[str]
    exact_hashes: frozenset[str]
    near: tuple[Near, ...]

    @property
    def digest(self) -> str:
        """Names exactly this; "" when nothing is blocked."""
        if not any(self):
            return ""
        near = sorted((one.perceptual_hash, one.bits) for one in self.near)
        return digest_of(repr((sorted(self.ids), sorted(self.sources), sorted(self.exact_hashes), near)))

    def without(self, rows: pa.Table) -> pa.Table:
        """The rows (`id`, `source`, …) whose id and source are not taken down."""
        names = zip(rows["id"].to_pylist(), rows["source"].to_pylist(), strict=True)
        is_free = [row_id not in self.ids and source not in self.sources for row_id, source in names]
        return rows.filter(pa.array(is_free, pa.bool_()))

    def matches(self, rows: pa.Table) -> Bool[np.ndarray, " b"]:
        """Which rows (`id`, `source`, HASHES_SCHEMA) are taken down by id, source or hash; rows without hashes match by name."""
        names = zip(*(rows[name].to_pylist() for name in ("id", "source", "exact_hash")), strict=True)
        found = (
            row_id in self.ids or source in self.sources or exact in self.exact_hashes for row_id, source, exact in names
        )  # fmt: skip
        return np.fromiter(found, bool, rows.num_rows) | _are_near(rows, self.near)


class Permitted:
    """A source without the rows that were taken down; a source that was taken down as a whole is not even listed."""

    def __init__(self, source: Source, blocked: Blocked) -> None:
        self.blocked = blocked
        self._source = source
        self._omitted: dict[str, int] = {}

    @property
    def name(self) -> str:
        """Value of the column ``source``."""
        return self._source.name

    @property
    def num_omitted(self) -> int:
        """Rows left out of the parts that were listed."""
        return sum(self._omitted.values())

    def shards(self) -> Iterator[Shard]:
        """The parts of the source.

        Raises:
            UserError: there is nothing at that place, or the source was taken down.
        """
        if self.name in self.blocked.sources:
            raise UserError(f"source {self.name!r} was taken down: nothing of it comes in (takedowns/ in the workspace says why)")
        return self._source.shards()

    def rows(self, shard: str) -> Iterator[pa.Table]:
        """Rows of a part that may come in.

        Raises:
            BadShard: the part cannot be listed to its end.
        """
        omitted = 0
        for rows in self._source.rows(shard):
            free = self.blocked.without(rows)
            omitted += rows.num_rows - free.num_rows
            self._omitted[shard] = omitted
            if free.num_rows:
                yield free

    def shard_of(self, locator: str) -> str:
        """The part to which a row belongs."""
        return self._source.shard_of(locator)

    def read(self, locators: Sequence[str]) -> list[bytes | ReadFailure]:
        """The encoded pictures behind these locators."""
        return self._source.read(locators)


def set_aside(images: str, blocked: Blocked, *, error_columns: Collection[str]) -> TableRef:
    """Quarantine what has come back: note `REASON` as the error of the signal that found it; gives the newest version.

    Args:
        error_columns: those by which the rules quarantine.

    Raises:
        UserError: the rules do not look at that signal's errors.
    """
    ref, error = pin(TableRef(uri=images)), hashes.SIGNAL.error_column
    if not any(blocked):
        return ref
    if error not in error_columns:
        raise UserError(f"pictures were taken down, but the rules do not look at {error!r}; add it to rules.quarantine.columns")
    commit.require_columns(ref, hashes.SIGNAL.schema, job="curate")
    rows = commit.rows_of(ref, ["id", "source", "exact_hash", "perceptual_hash", error], where=f"{error} IS NULL")
    rows = rows.filter(pa.array(blocked.matches(rows)))
    text = pa.array([f"{REASON}: it was taken down before"] * rows.num_rows, pa.string())
    return commit.set_columns(ref, rows.select(["_rowid", "_rowaddr"]).append_column(error, text))


def _are_near(rows: pa.Table, near: Sequence[Near]) -> Bool[np.ndarray, " b"]:
    found = np.zeros(rows.num_rows, dtype=bool)
    if not near:
        return found
    column = rows["perceptual_hash"]
    known = column.is_valid().to_numpy()
    values = column.fill_null(0).to_numpy().astype(np.uint64)
    for one in near:
        theirs = np.full(len(values), one.perceptual_hash, dtype=np.uint64)
        found |= known & (hashes.bit_distance(values, theirs) <= one.bits)
    return found
