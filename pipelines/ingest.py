"""Ingest: list a source, fetch its pictures in Ray workers, append them to the table `images`.

A row that is in the table stays as it is, so ingesting again after adding pictures fetches only those. A picture that cannot
be read becomes a row without bytes, which `curate` quarantines. The driver lists one shard after another and hands rows on as
soon as there are enough for some fragments, so what it holds does not grow with the source. What was taken down is passed over
before anything is fetched.
"""

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, Field

from curation import commit
from curation.blocked import Permitted
from curation.listing import Listing
from curation.presence import Presence
from curation.sources import ReadFailure, SourceConfig, build, fingerprint
from curation.tables import IMAGES_SCHEMA, TableRef, open_table
from curation.takedown import read_blocked
from curation.workers import Tasks
from infra.progress import Bar
from infra.session import Session
from infra.storage import digest_of, require_free_space
from infra.tracking import Run
from pipelines.job import Outcome, Work, run_job

EXPECTED_BYTES = 32 << 10
"""Room asked for a row before starting; a picture of this size is a 128 px PNG with plenty of margin."""

FRAGMENTS_AT_ONCE = 256
"""Descriptions of fragments that are held in the driver and handed to the workers together."""


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
    """Digest of what the source holds; filled in when the job starts, so that a source with more pictures is another job."""


class Fetching:
    """Adds bytes to listed rows; built in a worker for each batch of rows."""

    def __init__(self, source: SourceConfig, cache_dir: Path) -> None:
        self._source = build(source, cache_dir=cache_dir)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Rows of IMAGES_SCHEMA."""
        read = self._source.read(rows["locator"].to_pylist())
        images = [None if isinstance(one, ReadFailure) else one for one in read]
        errors = [f"{one.kind}: {one.reason}" if isinstance(one, ReadFailure) else "" for one in read]
        rows = rows.append_column("image", pa.array(images, pa.large_binary()))
        return rows.append_column("ingest_error", pa.array(errors, pa.string()))


def run(config: IngestConfig, session: Session) -> Outcome:
    """Append what the source lists and the table lacks; outputs `images` and its `version`."""
    source = Permitted(build(config.source, cache_dir=session.settings.cache_dir), read_blocked(session.workspace))
    settings = json.dumps(config.source.model_dump(mode="json"), sort_keys=True)
    listing = digest_of(f"{settings}|{fingerprint(source)}{source.blocked.digest}")
    resolved = IngestConfig.model_validate({**config.model_dump(), "listing": listing})
    return run_job("ingest", resolved, session, partial(_ingest, resolved, session, source))


def _ingest(config: IngestConfig, session: Session, source: Permitted, run: Run) -> Work:
    commit.create(config.images, IMAGES_SCHEMA)
    listing = Listing(source, Presence(config.images, source=source.name, shard_of=source.shard_of))
    with session.progress.stage("ingest", total=None) as bar:
        table = _append(config, session, listing.chunks(config.rows_per_fragment), bar)
    run.log_table(table.uri, commit.version_of(table), "output")
    unreadable = _unreadable(table)
    return Work(
        rows_in=listing.num_listed,
        rows_out=listing.num_fresh,
        quarantined=unreadable.total(),
        outputs={"images": table.uri, "version": str(table.version)},
        metrics={
            "ingest/listed_images": listing.num_listed, "ingest/appended_images": listing.num_fresh,
            "ingest/unreadable_images": unreadable.total(), "ingest/damaged_shards": len(listing.bad_shards),
            "ingest/taken_down_images": source.num_omitted,
        },
        note=_note(listing, unreadable, num_rows=open_table(table).count_rows(), num_omitted=source.num_omitted),
    )  # fmt: skip


def _append(config: IngestConfig, session: Session, chunks: Iterator[pa.Table], bar: Bar) -> TableRef:
    """Append fresh rows, some fragments at a time; gives the table."""
    table = commit.create(config.images, IMAGES_SCHEMA)
    fetching = partial(Fetching, config.source, session.settings.cache_dir)
    while some := list(islice(chunks, FRAGMENTS_AT_ONCE)):
        if "://" not in config.images:
            require_free_space(config.images, sum(chunk.num_rows for chunk in some) * EXPECTED_BYTES)
        session.start_ray()
        table = commit.append_rows(
            config.images, IMAGES_SCHEMA, some, build=fetching, workers=Tasks(config.workers), on_commit=bar.advance
        )
    return table


def _unreadable(table: TableRef) -> Counter[str]:
    """Rows without bytes, by what is to blame."""
    scanner = open_table(table).scanner(columns=["ingest_error"], filter="ingest_error != ''")
    return Counter(error.partition(":")[0] for batch in scanner.to_batches() for error in batch["ingest_error"].to_pylist())


def _note(listing: Listing, unreadable: Counter[str], *, num_rows: int, num_omitted: int) -> str:
    """One line: what was done, what could not be read, what could not be listed."""
    parts = [f"appended {listing.num_fresh:,} of {listing.num_listed:,} listed pictures, {num_rows:,} in the table"]
    if num_omitted:
        parts.append(f"{num_omitted:,} passed over that were taken down")
    if unreadable:
        reasons = ", ".join(f"{count:,} {kind}" for kind, count in unreadable.most_common())
        parts.append(f"{unreadable.total():,} unreadable ({reasons})")
    if listing.bad_shards:
        shard, seen = next(iter(listing.bad_shards.items()))
        parts.append(f"{len(listing.bad_shards):,} damaged shards, among them {shard}: {seen}")
    return "; ".join(parts)
