"""A folder of pictures with captions: the source for a user's own pictures.

Captions come from a JSON Lines file in the folder (one object a picture, see `CaptionLine`), else from a text file beside each
picture. A picture without either keeps an empty text, which curation drops with the reason ``no_text``: a file name is not a
caption. The category is the first folder below the root unless the caption line says otherwise.

Chosen over Hugging Face's ``metadata.jsonl`` layout as the only form because two plain files are what people have; that
layout's ``file_name`` and ``text`` keys are read too.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import AliasChoices, BaseModel, Field, ValidationError

from curation.sources.protocol import ReadFailure, SourceRow, table_of
from curation.splits import split_of
from infra.errors import UserError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
MAX_FILE_BYTES = 256 * 2**20
"""Larger files are not read into memory; they are reported as a failure of that row."""


class FolderConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Pictures below a folder, with captions beside them."""

    kind: Literal["folder"] = "folder"
    path: str
    """The folder; pictures are found at any depth, hidden files and folders are left out."""
    caption_suffix: str = Field(default=".txt", pattern=r"^\.\w+$")
    """A picture's caption lies beside it, in the file with this suffix."""
    captions_file: str = "captions.jsonl"
    """JSON Lines file in the folder with a caption a picture; need not exist unless it is named otherwise."""
    heldout_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of concepts kept out of training."""
    seed: int = 0
    """Key of the split."""
    licence: str = "unknown"
    """Licence of the pictures, for rows whose caption line names none."""
    attribution: str = ""
    """Whom to name, for rows whose caption line names nobody."""


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


class FolderSource:
    """Rows and bytes of one folder."""

    name = "folder"

    def __init__(self, config: FolderConfig) -> None:
        self._config = config
        self._root = Path(config.path).expanduser().absolute()

    def rows(self) -> pa.Table:
        """One row a picture, ordered by path.

        Raises:
            UserError: the folder is missing or holds no picture, or a caption line cannot be read or names no picture.
        """
        pictures = self._pictures()
        lines = self._caption_lines(frozenset(pictures))
        return table_of(self._row(picture, lines.get(picture)) for picture in pictures)

    def read(self, locators: Sequence[str]) -> list[bytes | ReadFailure]:
        """The files as they are."""
        return [self._read_one(locator) for locator in locators]

    def _pictures(self) -> list[str]:
        if not self._root.is_dir():
            raise UserError(
                f"no folder at {self._root}; give an existing folder of pictures, such as --source folder:/data/pictures"
            )
        found: list[str] = []
        for folder, folders, files in os.walk(self._root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            paths = (Path(folder, name) for name in files if not name.startswith("."))
            found += [path.relative_to(self._root).as_posix() for path in paths if path.suffix.lower() in SUFFIXES]
        if not found:
            raise UserError(f"no pictures below {self._root}; expected files ending in {', '.join(sorted(SUFFIXES))}")
        return sorted(found)

    def _caption_lines(self, pictures: frozenset[str]) -> dict[str, CaptionLine]:
        path = self._root / self._config.captions_file
        if not path.is_file():
            if self._config.captions_file != FolderConfig.model_fields["captions_file"].default:
                raise UserError(f"no captions file at {path}; expected JSON Lines, one object a picture")
            return {}
        lines: dict[str, CaptionLine] = {}
        for number, text in enumerate(_text_of(path).splitlines(), start=1):
            if not text.strip():
                continue
            line = _parse(text, where=f"{path} line {number}")
            if line.file not in pictures:
                raise UserError(
                    f"{path} line {number} names {line.file!r}, which is not a picture below {self._root}; correct the path"
                )
            lines[line.file] = line
        return lines

    def _row(self, picture: str, line: CaptionLine | None) -> SourceRow:
        line = line or CaptionLine(file=picture, text_en=self._text_beside(picture))
        folder = picture.split("/")[0] if "/" in picture else ""
        concept = f"folder/{line.concept or _normalised(line.text_en) or picture}"
        return SourceRow(
            id=f"folder/{self._root.name}/{picture}",
            source="folder",
            locator=picture,
            text_en=line.text_en.strip(),
            text_zh=line.text_zh.strip(),
            concept=concept,
            style=line.style,
            category=line.category or folder,
            subcategory=line.subcategory,
            tone="",
            gender="",
            colour="",
            licence=line.licence or self._config.licence,
            attribution=line.attribution or self._config.attribution,
            split=split_of(concept, heldout_share=self._config.heldout_share, seed=self._config.seed),
        )

    def _text_beside(self, picture: str) -> str:
        path = (self._root / picture).with_suffix(self._config.caption_suffix)
        return " ".join(_text_of(path).split()) if path.is_file() else ""

    def _read_one(self, locator: str) -> bytes | ReadFailure:
        path = self._root / locator
        try:
            num_bytes = path.stat().st_size
            if num_bytes > MAX_FILE_BYTES:
                return ReadFailure(f"{locator} has {num_bytes} bytes, at most {MAX_FILE_BYTES} are read")
            return path.read_bytes()
        except OSError as error:
            return ReadFailure(f"{locator}: {error.strerror or error}")


def _parse(text: str, *, where: str) -> CaptionLine:
    try:
        return CaptionLine.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the line"
        known = ", ".join(CaptionLine.model_fields)
        raise UserError(f"{where}: {field}: {first['msg']}; expected one JSON object with keys out of {known}") from error


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} as UTF-8 text ({error}); save it as UTF-8") from error


def _normalised(text: str) -> str:
    return " ".join(text.lower().split()).strip(" .!")
