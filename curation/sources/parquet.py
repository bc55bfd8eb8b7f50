"""Parquet files with pictures in a column, or with their URLs.

A row is named by its file and its place in it, or by a column of ids. Reading a picture reads its row group's column, so files
whose row groups are about as large as `rows_per_fragment` are read once; larger groups are read once a fragment.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Literal

import pyarrow as pa
from pyarrow import parquet
from pydantic import BaseModel

from curation.fetch import FetchConfig
from curation.sources.cells import pictures_in
from curation.sources.described import Columns, Defaults, described
from curation.sources.files import Files, by_shard
from curation.sources.protocol import LISTED_ROWS, BadShard, ReadFailure, Shard, SourceRow, tables_of
from infra.errors import UserError


class ParquetConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Parquet files with a row a picture."""

    kind: Literal["parquet"] = "parquet"
    path: str
    """A file, or a folder of files; a path or a URI."""
    image: str = "image"
    """Column of the pictures: bytes, a record with ``bytes`` in it, or text with a URL."""
    id: str = ""
    """Column that names a picture within its file; its place in the file when empty."""
    columns: Columns = Columns()
    """Columns that describe a picture."""
    defaults: Defaults = Defaults()
    """What holds for all pictures."""
    fetch: FetchConfig = FetchConfig()
    """How URLs are fetched."""


class ParquetSource:
    """Rows and pictures of parquet files."""

    name = "parquet"

    def __init__(self, config: ParquetConfig) -> None:
        self._config = config
        self._files = Files(config.path, (".parquet",))

    def shards(self) -> Iterator[Shard]:
        """The files, by name."""
        return self._files.shards()

    def rows(self, shard: str) -> Iterator[pa.Table]:
        """One row a row, without reading pictures.

        Raises:
            BadShard: the file is damaged.
            UserError: there is no such column.
        """
        yield from tables_of(self._rows(shard))

    def shard_of(self, locator: str) -> str:
        """The file."""
        return locator.rpartition("#")[0]

    def read(self, locators: Sequence[str]) -> list[bytes | ReadFailure]:
        """The pictures as they are, or what their URLs give."""
        cells: dict[int, object] = {}
        failures: dict[int, ReadFailure] = {}
        for shard, members in by_shard(locators).items():
            try:
                cells |= self._cells(shard, members)
            except (OSError, pa.ArrowException) as error:
                failures |= {index: ReadFailure(f"{shard}: {error}") for index, _ in members}
        pictures = dict(zip(cells, pictures_in(list(cells.values()), self._config.fetch), strict=True))
        return [failures.get(index) or pictures[index] for index in range(len(locators))]

    def _rows(self, shard: str) -> Iterator[SourceRow]:
        config, number, seen = self._config, -1, set()
        try:
            with self._files.open(shard) as file:
                table = parquet.ParquetFile(file)
                for batch in table.iter_batches(batch_size=LISTED_ROWS, columns=self._wanted(shard, table.schema_arrow)):
                    for said in batch.to_pylist():
                        number += 1
                        key = str(said[config.id]) if config.id else str(number)
                        if key in seen:
                            continue
                        if config.id:
                            seen.add(key)
                        yield described(
                            self.name, key=f"{self._files.name}/{shard}/{key}", locator=f"{shard}#{number}", said=said,
                            columns=config.columns, defaults=config.defaults,
                        )  # fmt: skip
        except (OSError, pa.ArrowException) as error:
            raise BadShard(f"{shard}: {error}") from error

    def _wanted(self, shard: str, schema: pa.Schema) -> list[str]:
        """Columns that are listed; never the pictures."""
        needed = [self._config.image, *([self._config.id] if self._config.id else [])]
        lacking = [name for name in needed if name not in schema.names]
        if lacking:
            known = ", ".join(schema.names)
            raise UserError(f"{shard} has no column {lacking[0]!r}; it has {known}: set source.image or source.id")
        described_by = [name for name in self._config.columns.names() if name in schema.names]
        # a file without any of them still has a row a picture: its URL, or nothing but its number
        return list(dict.fromkeys([*described_by, *needed[1:]])) or _smallest(schema)

    def _cells(self, shard: str, members: Sequence[tuple[int, str]]) -> dict[int, object]:
        with self._files.open(shard) as file:
            table = parquet.ParquetFile(file)
            begins = list(accumulate((table.metadata.row_group(i).num_rows for i in range(table.num_row_groups)), initial=0))
            wanted: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
            for index, member in members:
                group = max(i for i in range(table.num_row_groups) if begins[i] <= int(member))
                wanted[group].append((index, int(member) - begins[group]))
            cells: dict[int, object] = {}
            for group, places in wanted.items():
                column = table.read_row_group(group, columns=[self._config.image])[self._config.image]
                cells |= {index: column[place].as_py() for index, place in places}
            return cells


def _smallest(schema: pa.Schema) -> list[str]:
    """A column that costs little to read: the first of plain numbers or texts, else the first."""
    plain = [field.name for field in schema if pa.types.is_primitive(field.type)]
    return [(plain or schema.names)[0]]
