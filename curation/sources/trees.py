"""Pictures in a tree of folders, on a disk or in an object store, with captions beside them.

Captions come from a JSON Lines file at the root (one object a picture, see `CaptionLine`), else from a text file beside each
picture. A picture without either keeps an empty text, which curation drops with the reason ``no_text``: a file name is not a
caption. The category is the first folder below the root unless the caption line says otherwise.

Chosen over Hugging Face's ``metadata.jsonl`` layout as the only form because two plain files are what people have; that
layout's ``file_name`` and ``text`` keys are read too. A folder is a shard: its names are held in memory while it is listed.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple, Protocol, runtime_checkable

import pyarrow as pa
from pydantic import AliasChoices, BaseModel, Field, ValidationError

from curation.sources.described import normalised
from curation.sources.protocol import ReadFailure, Shard, SourceRow, tables_of
from curation.splits import split_of
from infra.errors import UserError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})

DEFAULT_CAPTIONS_FILE = "captions.jsonl"


class CaptionLine(BaseModel, frozen=True, extra="forbid", populate_by_name=True, use_attribute_docstrings=True):
    """One line of the captions file."""

    file: str = Field(validation_alias=AliasChoices("file", "file_name"))
    """Path of the picture, relative to the folder."""
    text_en: str = Field(default="", validation_alias=AliasChoices("text_en", "text", "caption"))
    """Caption in English."""
    text_zh: str = ""
    """Caption in Chinese."""
    concept: str = ""
    """What is shown; pictures of one concept stay in one split. The text when empty."""
    style: str = ""
    """Style word, such as "flat"."""
    category: str = ""
    """Broad kind; the first folder below the root when empty."""
    subcategory: str = ""
    """Finer kind."""
    licence: str = ""
    """Licence of this picture."""
    attribution: str = ""
    """Whom to name for this picture."""


class _Numbered(NamedTuple):
    number: int
    line: CaptionLine


class File(NamedTuple):
    """A file in a folder."""

    name: str
    stamp: str
    """Changes when the file does."""


@runtime_checkable
class Tree(Protocol):
    """A tree of folders. Paths are relative to the root, with slashes; the root is ""."""

    place: str
    """Where the root is, for messages."""

    def folders(self) -> Iterator[str]:
        """All folders, each before those in it, without hidden ones; nothing when there is no root."""
        ...

    def files(self, folder: str) -> list[File]:
        """Files of a folder by name, without hidden ones; empty when there is no such folder."""
        ...

    def read(self, paths: Sequence[str]) -> list[bytes | ReadFailure]:
        """Contents of files."""
        ...


class Captioned(NamedTuple):
    """How pictures of a tree are described."""

    source: str
    root_name: str
    """Part of the ids: where the pictures are, whatever folder that is in."""
    caption_suffix: str
    captions_file: str
    heldout_share: float
    seed: int
    licence: str
    attribution: str


class TreeSource:
    """Rows and bytes of one tree."""

    def __init__(self, tree: Tree, captioned: Captioned) -> None:
        self._tree = tree
        self._captioned = captioned
        self._lines: dict[str, dict[str, _Numbered]] | None = None

    @property
    def name(self) -> str:
        """Value of the column ``source``."""
        return self._captioned.source

    def shards(self) -> Iterator[Shard]:
        """Folders that hold pictures.

        Raises:
            UserError: the root is missing or holds no picture.
        """
        num_folders = num_shards = 0
        for folder in self._tree.folders():
            num_folders += 1
            files = self._tree.files(folder)
            if any(_is_picture(file.name) for file in files):
                num_shards += 1
                yield Shard(folder, hashlib.sha256(repr(files).encode()).hexdigest()[:16])
        if not num_folders:
            existing = f"give an existing folder of pictures, such as --source {self._example}"
            raise UserError(f"no folder at {self._tree.place}; {existing}")
        if not num_shards:
            suffixes = ", ".join(sorted(SUFFIXES))
            raise UserError(f"no pictures below {self._tree.place}; expected files ending in {suffixes}")

    def rows(self, shard: str) -> Iterator[pa.Table]:
        """One row a picture of a folder, ordered by name.

        Raises:
            UserError: a caption cannot be read, or a caption line names no picture.
        """
        names = [file.name for file in self._tree.files(shard)]
        pictures = [name for name in names if _is_picture(name)]
        lines = self._caption_lines().get(shard, {})
        self._refuse_strays(lines, pictures)
        yield from tables_of(self._listed(shard, pictures, frozenset(names), lines))

    def shard_of(self, locator: str) -> str:
        """The folder."""
        return locator.rpartition("/")[0]

    def read(self, locators: Sequence[str]) -> list[bytes | ReadFailure]:
        """The files as they are."""
        return self._tree.read(locators)

    @property
    def _example(self) -> str:
        return {"folder": "folder:/data/pictures", "s3": "s3:bucket/prefix"}[self.name]

    def _listed(
        self, folder: str, pictures: Sequence[str], names: frozenset[str], lines: Mapping[str, _Numbered]
    ) -> Iterator[SourceRow]:
        for name in pictures:
            path = f"{folder}/{name}" if folder else name
            if name in lines:
                line = lines[name].line
            else:
                beside = str(PurePosixPath(name).with_suffix(self._captioned.caption_suffix))
                text = self._text(f"{folder}/{beside}" if folder else beside) if beside in names else ""
                line = CaptionLine(file=path, text_en=" ".join(text.split()))
            yield self._row(path, line)

    def _row(self, path: str, line: CaptionLine) -> SourceRow:
        how = self._captioned
        folder = path.split("/")[0] if "/" in path else ""
        concept = f"{how.source}/{line.concept or normalised(line.text_en) or path}"
        return SourceRow(
            id=f"{how.source}/{how.root_name}/{path}", source=how.source, locator=path, text_en=line.text_en.strip(),
            text_zh=line.text_zh.strip(), concept=concept, style=line.style, category=line.category or folder,
            subcategory=line.subcategory, tone="", gender="", colour="", licence=line.licence or how.licence,
            attribution=line.attribution or how.attribution,
            split=split_of(concept, heldout_share=how.heldout_share, seed=how.seed),
        )  # fmt: skip

    def _caption_lines(self) -> dict[str, dict[str, _Numbered]]:
        """Caption lines by folder and name, read once."""
        if self._lines is None:
            self._lines = self._read_lines()
            for folder, lines in self._lines.items():
                if not self._tree.files(folder):
                    self._refuse_strays(lines, ())
        return self._lines

    def _read_lines(self) -> dict[str, dict[str, _Numbered]]:
        name = self._captioned.captions_file
        if name not in {file.name for file in self._tree.files("")}:
            if name != DEFAULT_CAPTIONS_FILE:
                raise UserError(f"no captions file at {self._tree.place}/{name}; expected JSON Lines, one object a picture")
            return {}
        lines: defaultdict[str, dict[str, _Numbered]] = defaultdict(dict)
        for number, text in enumerate(self._text(name).splitlines(), start=1):
            if text.strip():
                line = _parse(text, where=f"{self._tree.place}/{name} line {number}")
                folder, _, picture = line.file.rpartition("/")
                lines[folder][picture] = _Numbered(number, line)
        return dict(lines)

    def _refuse_strays(self, lines: Mapping[str, _Numbered], pictures: Sequence[str]) -> None:
        strays = sorted(set(lines).difference(pictures))
        if strays:
            number, line = lines[strays[0]]
            where = f"{self._tree.place}/{self._captioned.captions_file} line {number}"
            what = f"{line.file!r}, which is not a picture below {self._tree.place}"
            raise UserError(f"{where} names {what}; correct the path")

    def _text(self, path: str) -> str:
        (content,) = self._tree.read([path])
        if isinstance(content, ReadFailure):
            raise UserError(f"cannot read {self._tree.place}/{path}: {content.reason}")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(f"cannot read {self._tree.place}/{path} as UTF-8 text ({error}); save it as UTF-8") from error


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _parse(text: str, *, where: str) -> CaptionLine:
    try:
        return CaptionLine.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the line"
        known = ", ".join(CaptionLine.model_fields)
        raise UserError(f"{where}: {field}: {first['msg']}; expected one JSON object with keys out of {known}") from error
