"""WebDataset tars: members with one key are one sample (https://github.com/webdataset/webdataset).

Members are read by their place in the file; nothing is unpacked. Only uncompressed tars, since one cannot read from the middle of
a compressed one. The id is the tar's name and the key, never a running number: a sample keeps it when others are added.
"""

import json
import tarfile
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import pyarrow as pa
from pydantic import BaseModel

from curation.sources.described import Columns, Defaults, described
from curation.sources.files import Files, by_shard
from curation.sources.protocol import MAX_PICTURE_BYTES, BadShard, ReadFailure, Shard, SourceRow, tables_of
from curation.sources.trees import SUFFIXES

MAX_TEXT_BYTES = 2**20
"""Larger texts and descriptions are left out: captions are short."""


class WebDatasetConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Tars of pictures, each with a ``.txt`` caption or a ``.json`` description beside it."""

    kind: Literal["webdataset"] = "webdataset"
    path: str
    """A tar, or a folder of tars; a path or a URI."""
    columns: Columns = Columns(text="caption")
    """Keys of the ``.json`` members; a ``.txt`` member, where there is one, is the text."""
    defaults: Defaults = Defaults()
    """What holds for all pictures."""


class _Sample(NamedTuple):
    key: str
    picture: tarfile.TarInfo
    text: str
    said: dict[str, object]


class WebDatasetSource:
    """Rows and bytes of tars."""

    name = "webdataset"

    def __init__(self, config: WebDatasetConfig) -> None:
        self._config = config
        self._files = Files(config.path, (".tar",))

    def shards(self) -> Iterator[Shard]:
        """The tars, by name."""
        return self._files.shards()

    def rows(self, shard: str) -> Iterator[pa.Table]:
        """One row a sample with a picture, in the order of the tar.

        Raises:
            BadShard: the tar is damaged or cut short.
        """
        yield from tables_of(self._row(shard, sample) for sample in self._samples(shard))

    def shard_of(self, locator: str) -> str:
        """The tar."""
        return locator.rpartition("#")[0]

    def read(self, locators: Sequence[str]) -> list[bytes | ReadFailure]:
        """The members as they are."""
        read: dict[int, bytes | ReadFailure] = {}
        for shard, members in by_shard(locators).items():
            read |= self._members(shard, members)
        return [read[index] for index in range(len(locators))]

    def _members(self, shard: str, members: Sequence[tuple[int, str]]) -> dict[int, bytes | ReadFailure]:
        try:
            with self._files.open(shard) as file:
                return {index: _member(file, member) for index, member in members}
        except OSError as error:
            return {index: ReadFailure(f"{shard}: {error}", "missing") for index, _ in members}

    def _row(self, shard: str, sample: _Sample) -> SourceRow:
        columns = self._config.columns
        return described(
            self.name, key=f"{self._files.name}/{shard}/{sample.key}", columns=columns, defaults=self._config.defaults,
            locator=f"{shard}#{sample.picture.offset_data}+{sample.picture.size}",
            said=sample.said | ({columns.text: sample.text} if sample.text else {}),
        )  # fmt: skip

    def _samples(self, shard: str) -> Iterator[_Sample]:
        seen: set[str] = set()
        try:
            with self._files.open(shard) as file, tarfile.open(fileobj=file, mode="r:") as tar:
                for key, members in _by_key(file, tar):
                    sample = _sample(tar, key, members)
                    if sample is not None and key not in seen:
                        seen.add(key)
                        yield sample
        except (tarfile.TarError, OSError, EOFError) as error:
            raise BadShard(f"{shard}: {error}; expected an uncompressed tar") from error


def _require_end(file: pa.NativeFile, tar: tarfile.TarFile) -> None:
    """Tell a tar that ends from one that was cut: tarfile takes half a header, or none, for an end."""
    file.seek(tar.offset)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"no end mark at byte {tar.offset}, so it was cut short")


def _by_key(file: pa.NativeFile, tar: tarfile.TarFile) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Regular members that follow each other with one key, by ending. The key goes up to the first dot of the file's name.

    The last group of a tar that was cut short is not given: its caption may be what is lost.
    """
    key, members = "", {}
    for member in tar:
        tar.members = []  # pyright: ignore[reportAttributeAccessIssue] - tarfile would remember every member
        if not member.isreg():
            continue
        folder, _, name = member.name.removeprefix("./").rpartition("/")
        stem, _, ending = name.partition(".")
        this = f"{folder}/{stem}" if folder else stem
        if this != key and members:
            yield key, members
            members = {}
        key = this
        members[f".{ending.lower()}"] = member
    _require_end(file, tar)
    if members:
        yield key, members


def _sample(tar: tarfile.TarFile, key: str, members: dict[str, tarfile.TarInfo]) -> _Sample | None:
    picture = next((member for ending, member in members.items() if ending in SUFFIXES), None)
    if picture is None:
        return None
    text = _content(tar, members.get(".txt")).decode("utf-8", errors="replace").strip()
    return _Sample(key, picture, text, _description(_content(tar, members.get(".json"))))


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> bytes:
    file = tar.extractfile(member) if member is not None and member.size <= MAX_TEXT_BYTES else None
    return file.read() if file is not None else b""


def _description(content: bytes) -> dict[str, object]:
    """What a ``.json`` member says, nothing when it is not an object: the picture is still there."""
    try:
        said = json.loads(content) if content else {}
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _member(file: pa.NativeFile, member: str) -> bytes | ReadFailure:
    offset, _, size = member.partition("+")
    if int(size) > MAX_PICTURE_BYTES:
        return ReadFailure(f"{size} bytes, at most {MAX_PICTURE_BYTES} are read", "too_large")
    file.seek(int(offset))
    content = file.read(int(size))
    return content if len(content) == int(size) else ReadFailure(f"{len(content)} bytes of {size} are there", "unreadable")
