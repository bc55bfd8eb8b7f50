"""Curate: measure every picture from one decode, then decide what is kept.

Measuring runs in Ray workers and is committed fragment by fragment; deciding reads the measured columns on the driver and can
be repeated with other limits in seconds.
"""

import json
from functools import partial

import pyarrow as pa
from pydantic import BaseModel, Field

from curation import commit, funnel
from curation.judging import judge_table
from curation.signals.measure import Measuring, measure_version
from curation.tables import MEASURED_SCHEMA, TableRef, pin
from curation.verdict import LimitsConfig
from infra.session import Session
from infra.tracking import Run
from pipelines.columns import Columns, fill
from pipelines.job import Outcome, Work, job_digest, run_job


class CurateConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which pictures are measured and what they must reach."""

    images: TableRef
    """The table `ingest` wrote; its version names the rows."""
    limits: LimitsConfig
    """What a picture must reach to be kept."""
    workers: int = Field(gt=0)
    """Actors that measure; each holds the feature network."""
    measure_version: str = ""
    """Digest of the signals; filled in when the job starts, so that changed signals are another job."""


def run(config: CurateConfig, session: Session) -> Outcome:
    """Fill MEASURED_SCHEMA; outputs `images`, its `version`, and the `funnel` (JSON, one object a category)."""
    filled_in = {"images": pin(config.images).model_dump(), "measure_version": measure_version()}
    resolved = CurateConfig.model_validate({**config.model_dump(), **filled_in})
    return run_job("curate", resolved, session, partial(_curate, resolved, session))


def _curate(config: CurateConfig, session: Session, run: Run) -> Work:
    columns = Columns(MEASURED_SCHEMA, ("image",), f"measure_version IS NULL OR measure_version != '{config.measure_version}'")
    workers = commit.Actors(config.workers)
    _, num_rows, num_fresh = fill("curate", session, config.images, columns, build=Measuring, workers=workers)
    table, counts = judge_table(config.images, config.limits)
    total = counts.to_pylist()[-1]
    assert total["rows"] == num_rows, (total, num_rows)
    stored_funnel = _store(counts, session, job_digest("curate", config))
    run.log_table(table.uri, commit.version_of(table), "output")
    return Work(
        rows_in=num_rows,
        rows_out=total["kept"],
        quarantined=total["quarantined"],
        outputs={"images": table.uri, "version": str(table.version), "funnel": stored_funnel},
        metrics={"curate/measured_images": num_fresh, **funnel.as_metrics(counts, "curate")},
        note=f"measured {num_fresh:,} of {num_rows:,} pictures: {funnel.in_words(counts)}",
    )


def _store(counts: pa.Table, session: Session, digest: str) -> str:
    """Store the funnel; gives its place."""
    parts = ("funnels", f"curate-{digest}.json")
    session.workspace.write_text(json.dumps(counts.to_pylist(), indent=1), *parts)
    return session.workspace.uri(*parts)
