"""Names of caption columns: a picture has as many sets of captions as writers and prompts have described it.

The structured writer's set has the plain names (`tables.CAPTION_SCHEMA`). A model's set is named after the model and the digest
of its prompts, ``captions_qwen3_vl_4b_1f09ac_en``, so two prompt versions stand side by side and neither overwrites the other.
"""

import re
from typing import NamedTuple

import pyarrow as pa

from curation.tables import CAPTION_SCHEMA

STRUCTURED = "structured"
"""The set whose captions are written from facts."""

_PREFIX = "captions_"
_SUFFIX_EN = "_en"


class CaptionColumns(NamedTuple):
    """Column names of one set."""

    en: str
    """One text per `tables.CAPTION_LEVELS`, "" where there is no usable one."""
    zh: str
    refused: str
    """JSON of each `answers.Refused`."""
    version: str
    """Digest of all that made them, filled by the engine; null = to do."""
    kind: str = ""
    """What the model says the picture is; "" (no such column) for the structured writer, like all below."""
    style: str = ""
    watermarks: str = ""
    abnormal: str = ""
    paid: str = ""
    """Requests that were computed for the row; the others came from the cache."""


def caption_set(writer: str, prompts_digest: str) -> str:
    """Name of a model's set: ``qwen3_vl_4b_1f09ac``.

    Args:
        writer: name or folder of the model.
        prompts_digest: of all its prompts.
    """
    last = re.split(r"[/\\]", writer.rstrip("/\\"))[-1].lower()
    slug = re.sub(r"[^a-z0-9]+", "_", last).strip("_")[:40] or "model"
    return f"{slug}_{prompts_digest[:6]}"


def caption_columns(name: str = STRUCTURED) -> CaptionColumns:
    """Columns of a set: of STRUCTURED, or of a name that `caption_set` gave."""
    if name == STRUCTURED:
        return CaptionColumns("captions_en", "captions_zh", "captions_refused", "caption_version")
    stem = f"{_PREFIX}{name}"
    return CaptionColumns(
        f"{stem}_en", f"{stem}_zh", f"{stem}_refused", f"{stem}_version", f"{stem}_kind", f"{stem}_style",
        f"{stem}_watermarks", f"{stem}_abnormal", f"{stem}_paid",
    )  # fmt: skip


def caption_schema(columns: CaptionColumns) -> pa.Schema:
    """Types of the columns of a set, without the version and error that the engine adds."""
    if columns == caption_columns():
        return CAPTION_SCHEMA
    texts, text = pa.list_(pa.string()), pa.string()
    return pa.schema(
        [
            (columns.en, texts), (columns.zh, texts), (columns.refused, texts), (columns.kind, text), (columns.style, text),
            (columns.watermarks, texts), (columns.abnormal, pa.bool_()), (columns.paid, pa.int32()),
        ]
    )  # fmt: skip


def caption_sets(schema: pa.Schema) -> tuple[str, ...]:
    """Names of the sets that a table has, STRUCTURED first."""
    named = [name.removeprefix(_PREFIX).removesuffix(_SUFFIX_EN) for name in schema.names if re.fullmatch("captions_.+_en", name)]
    has_structured = caption_columns().en in schema.names
    return (*([STRUCTURED] if has_structured else []), *sorted(named))
