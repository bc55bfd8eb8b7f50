"""A Lance table with pictures or URLs in a column, read at one version."""

from collections.abc import Iterator, Sequence
from typing import Literal

import lance
import pyarrow as pa
from pydantic import BaseModel

from curation.fetch import FetchConfig
from curation.sources.cells import pictures_in
from curation.sources.described import Columns, Defaults, described
from curation.sources.files import by_shard
from curation.sources.protocol import LISTED_ROWS, BadShard, ReadFailure, Shard, SourceRow, tables_of
from curation.tables import TableRef, open_table, pin
from infra.errors import UserError


class LanceTableConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A Lance table with a row a picture."""

    kind: Literal["lance"] = "lance"
    path: str
    """Path or URI of the table."""
    version: int | None = None
    """Version; the newest at the time of listing when empty."""
    image: str = "image"
    """Column of the pictures: bytes, a record with ``bytes`` in it, or text with a URL."""
    id: str = "id"
    """Column that names a picture: text or whole numbers, no value twice."""
    columns: Columns = Columns()
    """Columns that describe a picture."""
    defaults: Defaults = Defaults()
    """What holds for all pictures."""
    fetch: FetchConfig = FetchConfig()
    """How URLs are fetched."""


class LanceTableSource:
    """Rows and pictures of a table."""

    name = "lance"

    def __init__(self, config: LanceTableConfig) -> None:
        self._config = config
        self._ref = pin(TableRef(uri=config.path, version=config.version))
        self._table_name = config.path.rstrip("/").rpartition("/")[2].removesuffix(".lance")

    def shards(self) -> Iterator[Shard]:
        """The fragments."""
        for fragment in open_table(self._ref).get_fragments():
            files = sorted(file.path for file in fragment.metadata.files)
            yield Shard(str(fragment.fragment_id), f"{fragment.count_rows()}-{','.join(files)}")

    def rows(self, shard: str) -> Iterator[pa.Table]:
        """One row a row of a fragment, without reading pictures.

        Raises:
            BadShard: the fragment is damaged.
            UserError: there is no such column.
        """
        yield from tables_of(self._rows(shard))

    def shard_of(self, locator: str) -> str:
        """The fragment."""
        return locator.partition("#")[0]

    def read(self, locators: Sequence[str]) -> list[bytes | ReadFailure]:
        """The pictures as they are, or what their URLs give."""
        cells: dict[int, object] = {}
        for shard, members in by_shard(locators).items():
            values = self._cells(shard, [member for _, member in members])
            cells |= {index: values.get(member) for index, member in members}
        return pictures_in([cells[index] for index in range(len(locators))], self._config.fetch)

    def _rows(self, shard: str) -> Iterator[SourceRow]:
        config = self._config
        dataset = open_table(self._ref)
        lacking = [name for name in (config.image, config.id) if name not in dataset.schema.names]
        if lacking:
            raise UserError(f"table {config.path} has no column {lacking[0]!r}; set source.image or source.id")
        columns = [name for name in config.columns.names() if name in dataset.schema.names]
        try:
            wanted = list(dict.fromkeys([config.id, *columns]))
            for batch in self._fragment(shard).to_batches(columns=wanted, batch_size=LISTED_ROWS):
                for said in batch.to_pylist():
                    key = str(said[config.id])
                    yield described(
                        self.name, key=f"{self._table_name}/{key}", locator=f"{shard}#{key}", said=said, columns=config.columns,
                        defaults=config.defaults,
                    )  # fmt: skip
        except OSError as error:
            raise BadShard(f"fragment {shard} of {config.path}: {error}") from error

    def _cells(self, shard: str, keys: Sequence[str]) -> dict[str, object]:
        """Values by key. Found by a filter on the ids, since deletions change the places of rows in a fragment."""
        config, fragment = self._config, self._fragment(shard)
        kind = fragment.schema.field(config.id).type
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        literals = ",".join(f"'{key.replace(chr(39), chr(39) * 2)}'" if is_text else str(int(key)) for key in keys)
        table = fragment.to_table(columns=[config.id, config.image], filter=f"`{config.id}` IN ({literals})")
        return dict(zip(map(str, table[config.id].to_pylist()), table[config.image].to_pylist(), strict=True))

    def _fragment(self, shard: str) -> lance.LanceFragment:
        fragment = open_table(self._ref).get_fragment(int(shard))
        assert fragment is not None, (self._ref, shard)
        return fragment
