"""Ingest: list a source, fetch its pictures in Ray workers, append them to the table `images`.

A row that is in the table stays as it is, so ingesting again after adding pictures fetches only those. A picture that cannot
be read becomes a row without bytes, which `curate` quarantines.
"""

import json
from functools import partial

import pyarrow as pa
from pydantic import BaseModel, Field

from curation import commit
from curation.sources import ReadFailure, SourceConfig, build
from curation.sources.protocol import Source
from curation.tables import IMAGES_SCHEMA, TableRef, open_table
from curation.workers import Tasks
from infra.session import Session
from infra.storage import digest_of, require_free_space
from infra.tracking import Run
from pipelines.job import Outcome, Work, run_job

EXPECTED_BYTES = 32 << 10
"""Room asked for a row before starting; a picture of this size is a 128 px PNG with plenty of margin."""


class IngestConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which pictures go into which table."""

    source: SourceConfig
    """Where the pictures come from."""
    images: str
    """Path or URI of the table; made when it is not there."""
    rows_per_fragment: int = Field(gt=0)
    """Rows a worker fetches and writes at once. Later jobs compute, commit and resume by the same unit."""
    workers: int = Field(gt=0)
    """Tasks that fetch at the same time."""
    listing: str = ""
    """Digest of what the source lists; filled in when the job starts, so that a source with more pictures is another job."""


class Fetching:
    """Adds bytes to listed rows; built in a worker for each batch of rows."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Rows of IMAGES_SCHEMA."""
        read = self._source.read(rows["locator"].to_pylist())
        images = [None if isinstance(one, ReadFailure) else one for one in read]
        errors = [one.reason if isinstance(one, ReadFailure) else "" for one in read]
        rows = rows.append_column("image", pa.array(images, pa.large_binary()))
        return rows.append_column("ingest_error", pa.array(errors, pa.string()))


def run(config: IngestConfig, session: Session) -> Outcome:
    """Append what the source lists and the table lacks; outputs `images` and its `version`."""
    source = build(config.source, cache_dir=session.settings.cache_dir)
    rows = source.rows()
    listing = digest_of(json.dumps(rows.to_pylist(), sort_keys=True))
    resolved = IngestConfig.model_validate({**config.model_dump(), "listing": listing})
    return run_job("ingest", resolved, session, partial(_ingest, resolved, session, source, rows))


def _ingest(config: IngestConfig, session: Session, source: Source, rows: pa.Table, run: Run) -> Work:
    table, num_fresh = _append(config, session, source, rows)
    run.log_table(table.uri, commit.version_of(table), "output")
    dataset = open_table(table)
    num_missing = dataset.count_rows("ingest_error != ''")
    return Work(
        rows_in=rows.num_rows,
        rows_out=num_fresh,
        quarantined=num_missing,
        outputs={"images": table.uri, "version": str(table.version)},
        metrics={
            "ingest/listed_images": rows.num_rows, "ingest/appended_images": num_fresh, "ingest/unreadable_images": num_missing,
        },
        note=f"appended {num_fresh:,} of {rows.num_rows:,} listed pictures, {dataset.count_rows():,} in the table",
    )  # fmt: skip


def _append(config: IngestConfig, session: Session, source: Source, rows: pa.Table) -> tuple[TableRef, int]:
    """Append the rows that the table lacks; gives the table and how many those were."""
    if "://" not in config.images:
        require_free_space(config.images, rows.num_rows * EXPECTED_BYTES)
    commit.create(config.images, IMAGES_SCHEMA)
    present = commit.ids_in(config.images)
    fresh = rows.filter(pa.array([row_id not in present for row_id in rows["id"].to_pylist()], pa.bool_()))
    chunks = [fresh.slice(start, config.rows_per_fragment) for start in range(0, fresh.num_rows, config.rows_per_fragment)]
    if chunks:
        session.start_ray()
    with session.progress.stage("ingest", total=rows.num_rows) as bar:
        bar.start_at(rows.num_rows - fresh.num_rows)
        table = commit.append_rows(
            config.images, IMAGES_SCHEMA, chunks, build=partial(Fetching, source),
            workers=Tasks(config.workers), on_commit=bar.advance,
        )  # fmt: skip
    return table, fresh.num_rows
