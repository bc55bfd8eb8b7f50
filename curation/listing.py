"""What of a source is not in a table yet: shard by shard, in tables of a few rows each, with a tally of everything seen."""

import logging
from collections.abc import Iterator

import pyarrow as pa

from curation.presence import Presence, Rows, without
from curation.sources.protocol import BadShard, Source

logger = logging.getLogger(__name__)

_CHANGED_AT_ONCE = 256
"""Shards whose ids are looked up in one pass over the table."""


class Listing:
    """Lists the rows that a table lacks. Iterate once; the tally is complete afterwards."""

    def __init__(self, source: Source, presence: Presence) -> None:
        self.num_listed = 0
        """Rows that the source has."""
        self.num_fresh = 0
        """Rows that the table lacked."""
        self.bad_shards: dict[str, str] = {}
        """Shards that could not be listed to their end, with what was seen."""
        self._source = source
        self._presence = presence

    def chunks(self, num_rows: int) -> Iterator[pa.Table]:
        """Fresh rows in tables of exactly `num_rows` rows, the last one aside."""
        waiting: list[pa.Table] = []
        num_waiting = 0
        for rows in self._fresh():
            waiting.append(rows)
            num_waiting += rows.num_rows
            if num_waiting >= num_rows:
                together = pa.concat_tables(waiting).combine_chunks()
                whole = num_waiting - num_waiting % num_rows
                yield from (together.slice(start, num_rows) for start in range(0, whole, num_rows))
                waiting, num_waiting = [together.slice(whole)], num_waiting - whole
        if num_waiting:
            yield pa.concat_tables(waiting).combine_chunks()

    def _fresh(self) -> Iterator[pa.Table]:
        changed: list[str] = []
        for shard in self._source.shards():
            there = self._presence.of(shard.name)
            if not there.num:
                yield from self._counted(self._listed(shard.name))
            elif self._rows_of(shard.name) == there:
                self.num_listed += there.num
            else:
                changed.append(shard.name)
            if len(changed) == _CHANGED_AT_ONCE:
                yield from self._of_changed(changed)
                changed = []
        yield from self._of_changed(changed)

    def _of_changed(self, shards: list[str]) -> Iterator[pa.Table]:
        present = self._presence.ids_of(shards) if shards else {}
        for shard in shards:
            for rows in self._listed(shard):
                self.num_listed += rows.num_rows
                fresh = without(rows, present[shard])
                self.num_fresh += fresh.num_rows
                if fresh.num_rows:
                    yield fresh

    def _counted(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        for rows in tables:
            self.num_listed += rows.num_rows
            self.num_fresh += rows.num_rows
            yield rows

    def _rows_of(self, shard: str) -> Rows:
        rows = Rows()
        for table in self._listed(shard):
            rows = rows.plus(table["id"].to_pylist())
        return rows

    def _listed(self, shard: str) -> Iterator[pa.Table]:
        """Rows of a shard up to where it is damaged; what is wrong with it is kept, and the next shard goes on."""
        try:
            yield from self._source.rows(shard)
        except BadShard as error:
            if shard not in self.bad_shards:
                logger.warning("a shard could not be listed to its end", extra={"shard": shard, "seen": str(error)})
            self.bad_shards[shard] = str(error)
