"""The writer that needs no model: captions from facts, checked like anybody's, as a signal.

Facts are columns of the row itself. What a row came with may be no name at all (a file name, an address); such a caption is
refused with its reasons and stands in the column of the refused ones.
"""

from collections.abc import Sequence

import pyarrow as pa

from curation.captions.answers import Refused
from curation.captions.checks import VERSION as CHECKS_VERSION
from curation.captions.checks import faults_of
from curation.captions.columns import caption_columns
from curation.captions.facts import CAPTION_VERSION, captions_en, captions_zh, facts_of
from curation.signals.contract import Batch, Compute, Signal, version_of
from curation.tables import CAPTION_LEVELS, CAPTION_SCHEMA

FACT_COLUMNS: tuple[str, ...] = (
    "text_en", "text_zh", "style", "category", "subcategory", "tone", "gender", "colour", "derivation",
)  # fmt: skip
"""What captions are written from."""


def captions_of(batch: Batch) -> dict[str, pa.Array]:
    """Columns of CAPTION_SCHEMA for rows that have FACT_COLUMNS."""
    facts = [facts_of(row) for row in batch.rows.select(list(FACT_COLUMNS)).to_pylist()]
    english = [_checked(captions_en(one), "en") for one in facts]
    chinese = [_checked(captions_zh(one), "zh") for one in facts]
    refused = [[one.model_dump_json() for one in ours[1] + theirs[1]] for ours, theirs in zip(english, chinese, strict=True)]
    names = caption_columns()
    columns = {names.en: [texts for texts, _ in english], names.zh: [texts for texts, _ in chinese], names.refused: refused}
    return {name: pa.array(values, CAPTION_SCHEMA.field(name).type) for name, values in columns.items()}


def _checked(texts: Sequence[str], language: str) -> tuple[list[str], list[Refused]]:
    """The texts, "" in place of refused ones, and those; a text that nothing is known for is not there to be refused."""
    kept, refused = [], []
    for level, text in zip(CAPTION_LEVELS, texts, strict=True):
        reasons = faults_of(text, level=level, language=language) if text else ()
        kept.append("" if reasons else text)
        if reasons:
            refused.append(Refused(language=language, level=level, reasons=reasons, text=text))
    return kept, refused


def _build() -> Compute:
    return captions_of


CAPTION = Signal(
    name="caption", version=version_of(writer=CAPTION_VERSION, checks=CHECKS_VERSION), inputs=FACT_COLUMNS,
    outputs=CAPTION_SCHEMA, build=_build, batch_rows=256,
)  # fmt: skip
"""Captions from facts, as a signal like those that are measured."""
