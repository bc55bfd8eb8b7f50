"""From what is written about a picture, in whatever columns or keys, to a row."""

import re
from collections.abc import Mapping

from pydantic import BaseModel, Field

from curation.sources.protocol import SourceRow
from curation.splits import split_of

_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]{2,}")


class Columns(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Names of the columns (or JSON keys) that describe a picture; one that is not there counts as empty."""

    text: str = "text"
    """The original text; Chinese is told from other languages by its signs."""
    text_zh: str = "text_zh"
    """The original text in Chinese, where there are both."""
    licence: str = "licence"
    """Licence of this picture."""
    attribution: str = "attribution"
    """Whom to name."""
    concept: str = "concept"
    """What is shown; pictures of one concept stay in one split. The text when empty."""
    category: str = "category"
    """Broad kind."""
    style: str = "style"
    """Style word."""

    def names(self) -> list[str]:
        """All of them."""
        return [getattr(self, name) for name in type(self).model_fields]


class Defaults(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What holds for all pictures of a source that say nothing else."""

    licence: str = "unknown"
    """Licence."""
    attribution: str = ""
    """Whom to name."""
    category: str = ""
    """Broad kind."""
    heldout_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of concepts kept out of training."""
    seed: int = 0
    """Key of the split."""


def described(
    source: str, *, key: str, locator: str, said: Mapping[str, object], columns: Columns, defaults: Defaults
) -> SourceRow:
    """A row.

    Args:
        key: names the picture within the source; the id is ``<source>/<key>``.
        said: what is written about it, by column.
    """
    text, text_zh = _text(said, columns.text), _text(said, columns.text_zh)
    if not text_zh and _is_chinese(text):
        text, text_zh = "", text
    concept = f"{source}/{_text(said, columns.concept) or normalised(text or text_zh) or key}"
    return SourceRow(
        id=f"{source}/{key}", source=source, locator=locator, text_en=text, text_zh=text_zh, concept=concept,
        style=_text(said, columns.style), category=_text(said, columns.category) or defaults.category, subcategory="",
        tone="", gender="", colour="", licence=_text(said, columns.licence) or defaults.licence,
        attribution=_text(said, columns.attribution) or defaults.attribution,
        split=split_of(concept, heldout_share=defaults.heldout_share, seed=defaults.seed),
    )  # fmt: skip


def normalised(text: str) -> str:
    """A text as a concept: the same for texts that differ in case, spaces and the final mark only."""
    return " ".join(text.lower().split()).strip(" .!。！")


def _text(said: Mapping[str, object], column: str) -> str:
    value = said.get(column)
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    return value.strip() if isinstance(value, str) else "" if value is None else str(value)


def _is_chinese(text: str) -> bool:
    """Whether there are more Chinese signs than words in Latin letters; a sign says about as much as half a word."""
    return len(_CHINESE.findall(text)) > 2 * len(_LATIN.findall(text))
