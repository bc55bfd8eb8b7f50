"""What every source of pictures offers to `ingest`, and the row it hands over."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import pyarrow as pa

from curation.tables import IMAGES_SCHEMA, Split

ROWS_SCHEMA = pa.schema([field for field in IMAGES_SCHEMA if field.name not in ("image", "ingest_error")])
"""The columns a source knows before a single picture is read."""


class ReadFailure(NamedTuple):
    """A picture that could not be read; the row is kept and quarantined."""

    reason: str
    """One line: what was seen."""


@runtime_checkable
class Source(Protocol):
    """Where rows come from. Small and picklable: workers get a copy each."""

    @property
    def name(self) -> str:
        """Value of the column ``source``."""
        ...

    def rows(self) -> pa.Table:
        """All rows in a fixed order with the columns of `ROWS_SCHEMA`: metadata only, cheap."""
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
