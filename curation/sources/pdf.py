"""PDF documents, a picture a page, with the page's own text. Cutting figures out of pages is `curation.knowledge`'s business."""

import io
from collections.abc import Iterator, Sequence
from typing import Literal

import pyarrow as pa
import pypdfium2
from pydantic import BaseModel, Field

from curation.sources.described import Columns, Defaults, described
from curation.sources.files import Files, by_shard
from curation.sources.protocol import BadShard, ReadFailure, Shard, SourceRow, tables_of

_POINTS_PER_INCH = 72


class PdfConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Pages of documents in a folder."""

    kind: Literal["pdf"] = "pdf"
    path: str
    """A document, or a folder of documents."""
    dpi: int = Field(default=144, ge=36, le=600)
    """Resolution of the pictures."""
    max_side_px: int = Field(default=4096, ge=64, le=16_384)
    """Pages that would be larger are rendered smaller: a page may claim to be kilometres wide."""
    max_text_characters: int = Field(default=20_000, ge=0)
    """Longest text of a page that is kept."""
    defaults: Defaults = Defaults(category="document")
    """What holds for all pages."""


class PdfSource:
    """Rows and renderings of pages."""

    name = "pdf"

    def __init__(self, config: PdfConfig) -> None:
        self._config = config
        self._files = Files(config.path, (".pdf", ".PDF"))

    def shards(self) -> Iterator[Shard]:
        """The documents, by name."""
        return self._files.shards()

    def rows(self, shard: str) -> Iterator[pa.Table]:
        """One row a page; pages of a document share a concept, so that it stays in one split.

        Raises:
            BadShard: the document is damaged or needs a password.
        """
        yield from tables_of(self._rows(shard))

    def shard_of(self, locator: str) -> str:
        """The document."""
        return locator.rpartition("#")[0]

    def read(self, locators: Sequence[str]) -> list[bytes | ReadFailure]:
        """PNG of each page."""
        read: dict[int, bytes | ReadFailure] = {}
        for shard, pages in by_shard(locators).items():
            try:
                with pypdfium2.PdfDocument(self._content(shard)) as document:
                    read |= {index: self._rendered(document, int(page)) for index, page in pages}
            except (pypdfium2.PdfiumError, OSError) as error:
                read |= {index: ReadFailure(f"{shard}: {error}") for index, _ in pages}
        return [read[index] for index in range(len(locators))]

    def _rows(self, shard: str) -> Iterator[SourceRow]:
        document_name = f"{self._files.name}/{shard}"
        try:
            with pypdfium2.PdfDocument(self._content(shard)) as document:
                for number in range(len(document)):
                    said = {"text": self._text(document, number), "concept": document_name}
                    yield described(
                        self.name, key=f"{document_name}/{number + 1:05}", locator=f"{shard}#{number}", said=said,
                        columns=Columns(), defaults=self._config.defaults,
                    )  # fmt: skip
        except (pypdfium2.PdfiumError, OSError) as error:
            raise BadShard(f"{shard}: {error}") from error

    def _content(self, shard: str) -> bytes:
        with self._files.open(shard) as file:
            return file.read()

    def _text(self, document: pypdfium2.PdfDocument, number: int) -> str:
        page = document[number]
        text = page.get_textpage()
        try:
            return " ".join(text.get_text_range(0, min(text.count_chars(), self._config.max_text_characters)).split())
        finally:
            text.close()
            page.close()

    def _rendered(self, document: pypdfium2.PdfDocument, number: int) -> bytes | ReadFailure:
        try:
            page = document[number]
        except (pypdfium2.PdfiumError, IndexError) as error:
            return ReadFailure(f"page {number + 1}: {error}")
        try:
            longest = max(page.get_size()) or 1.0
            scale = min(self._config.dpi / _POINTS_PER_INCH, self._config.max_side_px / longest)
            bitmap = page.render(scale=scale)  # pyright: ignore[reportArgumentType] - a factor; its annotation says int
            buffer = io.BytesIO()
            bitmap.to_pil().convert("RGB").save(buffer, format="PNG")
            bitmap.close()
            return buffer.getvalue()
        except (pypdfium2.PdfiumError, ValueError, MemoryError) as error:
            return ReadFailure(f"page {number + 1}: {error}")
        finally:
            page.close()
