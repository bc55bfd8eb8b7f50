"""A list of URLs with what is written about the pictures behind them: lines of text or JSON, CSV, or parquet.

Lists repeat URLs, and the id is the URL's digest, so repetitions have to be found before anything is fetched. The list is
therefore parted by host, once, into files in the cache folder; each part is small enough to look at whole. Within a part URLs are
ordered by their digest, which mixes hosts: nobody is asked for everything at once.
"""

import csv
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import parquet
from pydantic import BaseModel, Field

from curation.fetch import FetchConfig
from curation.sources.cells import fetched_pictures
from curation.sources.described import Columns, Defaults, described
from curation.sources.protocol import LISTED_ROWS, ReadFailure, Shard, SourceRow, tables_of
from infra.errors import UserError
from infra.storage import digest_of

logger = logging.getLogger(__name__)

_SUFFIXES = (".txt", ".jsonl", ".csv", ".parquet")


class UrlListConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A file with a URL a line or row."""

    kind: Literal["urls"] = "urls"
    path: str
    """The file: ``.txt`` (a URL a line), ``.jsonl``, ``.csv`` with a header, or ``.parquet``."""
    url: str = "url"
    """Column or key of the URLs."""
    parts: int = Field(default=64, gt=0, le=512)
    """Parts of the list; a part's URLs and texts are held in memory while it is listed."""
    columns: Columns = Columns()
    """Columns or keys that describe a picture."""
    defaults: Defaults = Defaults()
    """What holds for all pictures."""
    fetch: FetchConfig = FetchConfig()
    """How URLs are fetched; limits hold in each worker."""


class UrlListSource:
    """Rows of a list and the pictures behind them."""

    name = "urls"

    def __init__(self, config: UrlListConfig, cache_dir: Path) -> None:
        self._config = config
        self._path = Path(config.path).expanduser()
        self._cache = cache_dir

    def shards(self) -> Iterator[Shard]:
        """The parts that are not empty. The list is parted when this is called first.

        Raises:
            UserError: there is no such list, or a line of it cannot be read.
        """
        folder = self._parted()
        for part in sorted(folder.iterdir()):
            if part.stat().st_size:
                yield Shard(part.stem, f"{folder.name}-{part.stat().st_size}")

    def rows(self, shard: str) -> Iterator[pa.Table]:
        """One row a URL; what was written about it first counts."""
        said: dict[str, dict[str, object]] = {}
        with (self._parted() / f"{shard}.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                said.setdefault(record[self._config.url], record)
        yield from tables_of(self._row(url, said[url]) for url in sorted(said, key=_digest))

    def shard_of(self, locator: str) -> str:
        """The part that the URL's host belongs to."""
        return _part_of(locator, self._config.parts)

    def read(self, locators: Sequence[str]) -> list[bytes | ReadFailure]:
        """What the URLs give."""
        return fetched_pictures(locators, self._config.fetch)

    def _row(self, url: str, said: Mapping[str, object]) -> SourceRow:
        columns, defaults = self._config.columns, self._config.defaults
        return described(self.name, key=_digest(url), locator=url, said=said, columns=columns, defaults=defaults)

    def _parted(self) -> Path:
        if not self._path.is_file() or self._path.suffix not in _SUFFIXES:
            raise UserError(f"no list at {self._path}; give an existing file ending in {', '.join(_SUFFIXES)}")
        stat = self._path.stat()
        stamp = f"{self._path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}|{self._config.url}|{self._config.columns}"
        folder = self._cache / f"urls-{digest_of(stamp + f'|{self._config.parts}')}"
        if not folder.is_dir():
            self._part_into(folder)
        return folder

    def _part_into(self, folder: Path) -> None:
        """Write beside and rename, so that a list that was parted halfway is parted anew."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".urls-"))
        num_without = 0
        try:
            with ExitStack() as stack:
                names = [_part_name(index) for index in range(self._config.parts)]
                files = {name: stack.enter_context((beside / f"{name}.jsonl").open("w", encoding="utf-8")) for name in names}
                for record in self._records():
                    url = str(record.get(self._config.url) or "").strip()
                    num_without += not url
                    if url:
                        line = json.dumps(self._kept(record) | {self._config.url: url}, ensure_ascii=False, default=str)
                        files[_part_of(url, self._config.parts)].write(f"{line}\n")
            beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        if num_without:
            logger.warning("lines without a URL", extra={"list": str(self._path), "lines": num_without})

    def _kept(self, record: Mapping[str, object]) -> dict[str, object]:
        return {name: record[name] for name in self._config.columns.names() if record.get(name)}

    def _records(self) -> Iterator[Mapping[str, object]]:
        match self._path.suffix:
            case ".parquet":
                yield from _parquet_records(self._path, [self._config.url, *self._config.columns.names()])
            case ".csv":
                with self._path.open(encoding="utf-8-sig", newline="") as file:
                    yield from csv.DictReader(file)
            case ".jsonl":
                yield from self._json_records()
            case _:
                with self._path.open(encoding="utf-8-sig") as file:
                    yield from ({self._config.url: line} for line in file if not line.startswith("#"))

    def _json_records(self) -> Iterator[Mapping[str, object]]:
        with self._path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                except ValueError as error:
                    raise UserError(f"{self._path} line {number}: {error}; expected one JSON object a line") from error
                if not isinstance(record, dict):
                    raise UserError(f"{self._path} line {number}: {type(record).__name__}; expected one JSON object a line")
                yield record


def _parquet_records(path: Path, columns: Sequence[str]) -> Iterator[Mapping[str, object]]:
    with parquet.ParquetFile(path) as table:
        known = [name for name in dict.fromkeys(columns) if name in table.schema_arrow.names]
        for batch in table.iter_batches(batch_size=LISTED_ROWS, columns=known):
            yield from batch.to_pylist()


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:32]


def _part_of(url: str, parts: int) -> str:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    return _part_name(int.from_bytes(hashlib.sha256(host.encode()).digest()[:8], "big") % parts)


def _part_name(index: int) -> str:
    return f"part-{index:03}"
