"""What every source of pictures offers to `ingest`, and the row it hands over.

A source is a sequence of shards: files, folders, fragments. The driver names shards and lists their rows one shard after
another, so that what it holds does not grow with the source; workers read. A row is named by its place (or its content) and never
by the order in which it was found, so listing again gives the same ids.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import pyarrow as pa

from curation.fetch import FetchReason
from curation.tables import IMAGES_SCHEMA, Split

ROWS_SCHEMA = pa.schema([field for field in IMAGES_SCHEMA if field.name not in ("image", "ingest_error")])
"""The columns a source knows before a single picture is read."""

LISTED_ROWS = 1024
"""Rows in one table of a listing."""

MAX_PICTURE_BYTES = 256 * 2**20
"""Larger ones are not read into memory; they are reported as a failure of that row."""

FailureKind = Literal["missing", "too_large", "unreadable"] | FetchReason
"""Closed list of why a picture could not be read."""


class ReadFailure(NamedTuple):
    """A picture that could not be read; the row is kept and quarantined."""

    reason: str
    """One line: what was seen."""
    kind: FailureKind = "unreadable"
    """For counting."""


class BadShard(ValueError):
    """A shard whose listing broke off. Rows listed before stay; the shard is counted and the next one is listed."""


class Shard(NamedTuple):
    """A part of a source."""

    name: str
    """Unique in the source."""
    version: str
    """Changes when the part does: size and time, an etag, a digest."""


@runtime_checkable
class Source(Protocol):
    """Where rows come from. Small and picklable: workers get a copy each."""

    @property
    def name(self) -> str:
        """Value of the column ``source``."""
        ...

    def shards(self) -> Iterator[Shard]:
        """All parts in a fixed order, one at a time and without opening them.

        Raises:
            UserError: there is nothing at that place.
        """
        ...

    def rows(self, shard: str) -> Iterator[pa.Table]:
        """Rows of a part in a fixed order, in tables with the columns of `ROWS_SCHEMA`: metadata only; no id comes twice.

        Raises:
            BadShard: the part cannot be listed to its end.
            UserError: what the user wrote about the pictures is wrong.
        """
        ...

    def shard_of(self, locator: str) -> str:
        """The part to which a row belongs."""
        ...

    def read(self, locators: Sequence[str]) -> list[bytes | ReadFailure]:
        """The encoded pictures behind these locators, in their order. Called in workers; safe to repeat."""
        ...


class SourceRow(NamedTuple):
    """One row of a source, typed; `parents` and `derivation` are empty for all of them."""

    id: str
    source: str
    locator: str
    text_en: str
    text_zh: str
    concept: str
    style: str
    category: str
    subcategory: str
    tone: str
    gender: str
    colour: str
    licence: str
    attribution: str
    split: Split


def table_of(rows: Iterable[SourceRow]) -> pa.Table:
    """Source rows as an Arrow table with the columns of `ROWS_SCHEMA`."""
    records = [row._asdict() | {"parents": [], "derivation": ""} for row in rows]
    return pa.Table.from_pylist(records, schema=ROWS_SCHEMA)


def tables_of(rows: Iterable[SourceRow]) -> Iterator[pa.Table]:
    """Source rows as tables of `LISTED_ROWS`; memory for one of them.

    Raises:
        BadShard: from `rows`, after what came before it was given.
    """
    waiting: list[SourceRow] = []
    try:
        for row in rows:
            waiting.append(row)
            if len(waiting) == LISTED_ROWS:
                yield table_of(waiting)
                waiting = []
    except BadShard:
        if waiting:
            yield table_of(waiting)
        raise
    if waiting:
        yield table_of(waiting)


def listed(source: Source) -> pa.Table:
    """All rows of a small source at once."""
    tables = [table for shard in source.shards() for table in source.rows(shard.name)]
    return pa.concat_tables(tables) if tables else ROWS_SCHEMA.empty_table()


def fingerprint(source: Source) -> str:
    """Digest of what a source holds, from the names and versions of its shards."""
    digest = hashlib.sha256()
    for shard in source.shards():
        digest.update(f"{shard.name}\x00{shard.version}\n".encode())
    return digest.hexdigest()[:12]
