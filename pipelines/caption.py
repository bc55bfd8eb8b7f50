"""Caption: three levels of detail in two languages for every picture, written from what is known of it.

No model writes them, so they are true as far as the facts are, and cost microseconds. Facts are columns of the row itself, so
nothing else is read.
"""

from functools import partial

import pyarrow as pa
from pydantic import BaseModel, Field

from curation import commit
from curation.captions.facts import CAPTION_VERSION, captions_en, captions_zh, facts_of
from curation.tables import CAPTION_SCHEMA, TableRef, pin
from infra.session import Session
from infra.tracking import Run
from pipelines.columns import Columns, fill
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


class Captioning:
    """Writes the captions of rows that have FACT_COLUMNS; built in a worker for each batch of rows."""

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Rows of CAPTION_SCHEMA."""
        facts = [facts_of(row) for row in rows.select(list(FACT_COLUMNS)).to_pylist()]
        columns = {
            "captions_en": [list(captions_en(one)) for one in facts],
            "captions_zh": [list(captions_zh(one)) for one in facts],
            "caption_version": [CAPTION_VERSION] * len(facts),
        }
        return pa.table(columns, schema=CAPTION_SCHEMA)


def run(config: CaptionConfig, session: Session) -> Outcome:
    """Fill CAPTION_SCHEMA; outputs `images` and its `version`."""
    filled_in = {"images": pin(config.images).model_dump(), "caption_version": CAPTION_VERSION}
    resolved = CaptionConfig.model_validate({**config.model_dump(), **filled_in})
    return run_job("caption", resolved, session, partial(_caption, resolved, session))


def _caption(config: CaptionConfig, session: Session, run: Run) -> Work:
    todo = f"caption_version IS NULL OR caption_version != '{config.caption_version}'"
    columns = Columns(CAPTION_SCHEMA, FACT_COLUMNS, todo)
    workers = commit.Tasks(config.workers)
    table, num_rows, num_fresh = fill("caption", session, config.images, columns, build=Captioning, workers=workers)
    run.log_table(table.uri, commit.version_of(table), "output")
    return Work(
        rows_in=num_rows,
        rows_out=num_fresh,
        quarantined=0,
        outputs={"images": table.uri, "version": str(table.version)},
        metrics={"caption/captioned_images": num_fresh},
        note=f"captioned {num_fresh:,} of {num_rows:,} pictures in English and Chinese (version {config.caption_version})",
    )
