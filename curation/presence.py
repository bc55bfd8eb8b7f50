"""Which rows of a source a table has already, in memory that grows with the shards and not with the rows.

One pass over the table's ids counts those of each shard and adds up their digests. A shard that lists the same number and sum
lists the same rows; a shard the table knows nothing of is all fresh. Only for shards that differ are ids held one by one, a group
of shards at a time. A set of all ids was rejected: a billion of them takes a hundred gigabytes.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import lance
import pyarrow as pa

_BATCH_ROWS = 16_384
_MODULUS = 1 << 128


class Rows(NamedTuple):
    """A set of rows, told apart from others by their number and the sum of their ids' digests."""

    num: int = 0
    total: int = 0

    def plus(self, ids: Iterable[str]) -> "Rows":
        """With more rows."""
        num, total = self
        for row_id in ids:
            num += 1
            total += int.from_bytes(hashlib.blake2b(row_id.encode(), digest_size=16).digest(), "big")
        return Rows(num, total % _MODULUS)


class Presence:
    """What the newest version of a table at `uri` has of a source."""

    def __init__(self, uri: str, *, source: str, shard_of: Callable[[str], str]) -> None:
        self._uri = uri
        self._source = source
        self._shard_of = shard_of
        self._known: dict[str, Rows] = {}
        for shard, ids in self._by_shard():
            self._known[shard] = self._known.get(shard, Rows()).plus(ids)

    def of(self, shard: str) -> Rows:
        """Rows of a shard that are there."""
        return self._known.get(shard, Rows())

    def ids_of(self, shards: Sequence[str]) -> dict[str, frozenset[str]]:
        """Ids of some shards, in one pass over the table."""
        wanted, found = frozenset(shards), defaultdict(set)
        for shard, ids in self._by_shard():
            if shard in wanted:
                found[shard].update(ids)
        return {shard: frozenset(found[shard]) for shard in shards}

    def _by_shard(self) -> Iterator[tuple[str, list[str]]]:
        scanner = lance.dataset(self._uri).scanner(
            columns=["id", "locator"], filter=f"source = '{self._source}'", batch_size=_BATCH_ROWS
        )
        for batch in scanner.to_batches():
            grouped: defaultdict[str, list[str]] = defaultdict(list)
            for row_id, locator in zip(batch["id"].to_pylist(), batch["locator"].to_pylist(), strict=True):
                grouped[self._shard_of(locator)].append(row_id)
            yield from grouped.items()


def without(rows: pa.Table, ids: frozenset[str]) -> pa.Table:
    """The rows whose id is not among `ids`."""
    if not ids:
        return rows
    return rows.filter(pa.array([row_id not in ids for row_id in rows["id"].to_pylist()], pa.bool_()))
