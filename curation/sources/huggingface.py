"""Data sets of Hugging Face's `datasets` library: saved on disk, loaded by name, or streamed.

Pictures are taken as the bytes they are (``Image(decode=False)``). Without streaming, rows are read by their number. A stream can
only be read onwards: reading part of a shard skips what is before it, which costs little for parquet and a pass for tars.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import pyarrow as pa
from pydantic import BaseModel, Field

from curation.fetch import FetchConfig
from curation.sources.cells import pictures_in
from curation.sources.described import Columns, Defaults, described
from curation.sources.files import by_shard
from curation.sources.protocol import BadShard, ReadFailure, Shard, SourceRow, tables_of
from infra.errors import UserError, one_line
from infra.storage import digest_of

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset


class HuggingFaceConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One split of a data set."""

    kind: Literal["huggingface"] = "huggingface"
    path: str
    """A folder written by ``save_to_disk``, or whatever ``load_dataset`` understands: a folder of files, a name on the hub."""
    subset: str | None = None
    """Its configuration, where there are several."""
    split: str = "train"
    """Its split."""
    revision: str | None = None
    """Version on the hub."""
    streaming: bool = False
    """Read it from where it is instead of preparing it on this machine first."""
    image: str = "image"
    """Column of the pictures: pictures, bytes, or text with a URL."""
    id: str = ""
    """Column that names a picture; its number when empty."""
    shard_rows: int = Field(default=4096, gt=0)
    """Rows of a shard when it is not streamed."""
    columns: Columns = Columns()
    """Columns that describe a picture."""
    defaults: Defaults = Defaults()
    """What holds for all pictures."""
    fetch: FetchConfig = FetchConfig()
    """How URLs are fetched."""


class HuggingFaceSource:
    """Rows and pictures of a split."""

    name = "huggingface"

    def __init__(self, config: HuggingFaceConfig) -> None:
        self._config = config
        is_local = Path(config.path).expanduser().is_dir()
        self._label = f"{Path(config.path).name if is_local else config.path}/{config.split}"

    def shards(self) -> Iterator[Shard]:
        """Ranges of rows, or the shards of the stream."""
        loaded, stamp = _load(self._config), _stamp(self._config)
        if self._config.streaming:
            yield from (Shard(str(index), stamp) for index in range(cast("IterableDataset", loaded).num_shards))
            return
        num_rows = len(cast("Dataset", loaded))
        for start in range(0, num_rows, self._config.shard_rows):
            stop = min(start + self._config.shard_rows, num_rows)
            yield Shard(str(start // self._config.shard_rows), f"{stamp}-{stop}")

    def rows(self, shard: str) -> Iterator[pa.Table]:
        """One row a row, without reading pictures where the format allows it.

        Raises:
            BadShard: the library cannot read it to the end.
        """
        yield from tables_of(self._rows(shard))

    def shard_of(self, locator: str) -> str:
        """The range of rows, or the shard of the stream."""
        return locator.partition("#")[0]

    def read(self, locators: Sequence[str]) -> list[bytes | ReadFailure]:
        """The pictures as they are, or what their URLs give."""
        cells: dict[int, object] = {}
        for shard, members in by_shard(locators).items():
            numbers = [int(member) for _, member in members]
            values = self._streamed(shard, numbers) if self._config.streaming else self._taken(numbers)
            cells |= {index: values.get(int(member)) for index, member in members}
        return pictures_in([cells[index] for index in range(len(locators))], self._config.fetch)

    def _rows(self, shard: str) -> Iterator[SourceRow]:
        config, seen = self._config, set()
        try:
            for number, said in self._described(shard):
                key = str(said[config.id]) if config.id else str(number)
                if key in seen:
                    continue
                seen.add(key)
                place = f"{shard}/{key}" if config.streaming and not config.id else key
                yield described(
                    self.name, key=f"{self._label}/{place}", locator=f"{shard}#{number}", said=said, columns=config.columns,
                    defaults=config.defaults,
                )  # fmt: skip
        except (OSError, pa.ArrowException) as error:
            raise BadShard(f"shard {shard} of {config.path}: {error}") from error

    def _described(self, shard: str) -> Iterator[tuple[int, Mapping[str, object]]]:
        """Numbers of rows with what describes them."""
        wanted = [*self._config.columns.names(), *([self._config.id] if self._config.id else [])]
        if self._config.streaming:
            part = _part(self._config, int(shard))
            known = [name for name in dict.fromkeys(wanted) if part.column_names is None or name in part.column_names]
            yield from enumerate(part.select_columns(known or [self._config.image]))
            return
        loaded = cast("Dataset", _load(self._config))
        known = [name for name in dict.fromkeys(wanted) if name in loaded.column_names]
        start = int(shard) * self._config.shard_rows
        stop = min(start + self._config.shard_rows, len(loaded))
        rows = loaded.select_columns(known) if known else None
        for number in range(start, stop):
            yield number, {} if rows is None else cast("dict[str, object]", rows[number])

    def _taken(self, numbers: Sequence[int]) -> dict[int, object]:
        loaded = cast("Dataset", _load(self._config)).select_columns([self._config.image])
        return dict(zip(numbers, loaded[list(numbers)][self._config.image], strict=True))

    def _streamed(self, shard: str, numbers: Sequence[int]) -> dict[int, object]:
        first, wanted = min(numbers), set(numbers)
        part = _part(self._config, int(shard)).select_columns([self._config.image]).skip(first)
        read = enumerate(islice(part, max(numbers) - first + 1), start=first)
        return {number: row[self._config.image] for number, row in read if number in wanted}


@lru_cache(maxsize=2)
def _load(config: HuggingFaceConfig) -> "Dataset | IterableDataset":
    try:
        from datasets import Image, load_dataset, load_from_disk
    except ImportError as error:  # optional: only those who read such data sets need it
        raise UserError("the source huggingface needs datasets; install seedbed[sources]") from error
    path = Path(config.path).expanduser()
    try:
        if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
            saved = load_from_disk(str(path))
            loaded = saved[config.split] if isinstance(saved, dict) else saved
            loaded = cast("Dataset", loaded).to_iterable_dataset() if config.streaming else loaded
        else:
            place = str(path) if path.exists() else config.path
            loaded = load_dataset(place, config.subset, split=config.split, revision=config.revision, streaming=config.streaming)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot load {config.path!r}, split {config.split!r}: {one_line(error, max_characters=200)}") from error
    loaded = cast("Dataset | IterableDataset", loaded)
    features = loaded.features
    if features is not None and config.image not in features:
        raise UserError(f"{config.path!r} has no column {config.image!r}; it has {', '.join(features)}: set source.image")
    if features is not None and isinstance(features[config.image], Image):
        loaded = loaded.cast_column(config.image, Image(decode=False))
    return loaded


def _part(config: HuggingFaceConfig, index: int) -> "IterableDataset":
    loaded = cast("IterableDataset", _load(config))
    return loaded.shard(num_shards=loaded.num_shards, index=index)


def _stamp(config: HuggingFaceConfig) -> str:
    """A data set on the hub is named by its revision; one on this machine by its files."""
    path = Path(config.path).expanduser()
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else []
    stamps = [f"{file.name}-{file.stat().st_size}-{file.stat().st_mtime_ns}" for file in files]
    return digest_of("|".join([str(config.subset), config.split, str(config.revision), *stamps]))
