"""Caption: three levels of detail in two languages for every picture, written from what is known of it.

No model writes them, so they are true as far as the facts are, and cost microseconds. Facts are columns of the row itself, so
nothing else is read.
"""

from functools import partial

import pyarrow as pa
from pydantic import BaseModel, Field

from curation import commit
from curation.captions.facts import CAPTION_VERSION, captions_en, captions_zh, facts_of
from curation.signals.contract import Batch, Compute, Signal
from curation.tables import CAPTION_SCHEMA, TableRef, open_table, pin_rows
from curation.workers import Tasks
from infra.session import Session
from infra.tracking import Run
from pipelines.columns import costs, fill
from pipelines.job import Outcome, Work, run_job

FACT_COLUMNS: tuple[str, ...] = (
    "text_en", "text_zh", "style", "category", "subcategory", "tone", "gender", "colour", "derivation",
)  # fmt: skip
"""What captions are written from."""


class CaptionConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which pictures are described."""

    images: TableRef
    """The table of pictures; its version names the rows."""
    workers: int = Field(gt=0)
    """Tasks that write captions at the same time."""
    caption_version: str = ""
    """Digest of the caption code; filled in when the job starts, so that changed captions are another job."""


def captions_of(batch: Batch) -> dict[str, pa.Array]:
    """Columns of CAPTION_SCHEMA for rows that have FACT_COLUMNS."""
    facts = [facts_of(row) for row in batch.rows.select(list(FACT_COLUMNS)).to_pylist()]
    columns = {"captions_en": [list(captions_en(one)) for one in facts], "captions_zh": [list(captions_zh(one)) for one in facts]}
    return {name: pa.array(values, CAPTION_SCHEMA.field(name).type) for name, values in columns.items()}


def _build() -> Compute:
    return captions_of


CAPTION = Signal(
    name="caption", version=CAPTION_VERSION, inputs=FACT_COLUMNS, outputs=CAPTION_SCHEMA, build=_build, batch_rows=256
)
"""Captions, as a signal like those that are measured."""


def run(config: CaptionConfig, session: Session) -> Outcome:
    """Fill CAPTION_SCHEMA; outputs `images` and its `version`."""
    filled_in = {"images": pin_rows(config.images).model_dump(), "caption_version": CAPTION_VERSION}
    resolved = CaptionConfig.model_validate({**config.model_dump(), **filled_in})
    return run_job("caption", resolved, session, partial(_caption, resolved, session))


def _caption(config: CaptionConfig, session: Session, run: Run) -> Work:
    done = fill("caption", session, config.images, [CAPTION], workers=Tasks(config.workers))
    table, num_rows = done.table, open_table(config.images).count_rows()
    run.log_table(table.uri, commit.version_of(table), "output")
    return Work(
        rows_in=num_rows,
        rows_out=done.num_rows,
        quarantined=done.num_failed,
        outputs={"images": table.uri, "version": str(table.version)},
        metrics={"caption/captioned_images": done.num_rows, **costs(done, "caption")},
        note=f"captioned {done.num_rows:,} of {num_rows:,} pictures in English and Chinese (version {config.caption_version})",
    )
