"""Curate: measure every picture, then decide what is kept.

Measuring runs in Ray workers: every batch is decoded once for all signals that lack values, and committed signal by signal.
Deciding reads the measured columns on the driver and can be repeated with other rules in seconds.
"""

import json
from collections.abc import Sequence
from functools import partial

import pyarrow as pa
from pydantic import BaseModel, Field

from curation import commit, funnel
from curation.blocked import set_aside
from curation.judging import judge_table
from curation.signals import BY_DEFAULT, SignalConfig
from curation.signals.contract import Signal
from curation.tables import TableRef, open_table, pin_rows
from curation.takedown import read_blocked
from curation.verdict import DecisionConfig
from curation.workers import Actors
from infra.session import Session
from infra.tracking import Run
from pipelines.columns import costs, fill
from pipelines.curate_report import write_report
from pipelines.job import Outcome, Work, job_digest, run_job
from pipelines.measuring import signals_of


class CurateConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which pictures are measured and what they must reach."""

    images: TableRef
    """The table `ingest` wrote; its version names the rows."""
    rules: DecisionConfig
    """What is kept."""
    workers: int = Field(gt=0)
    """Actors that measure; each holds the networks of the signals."""
    signals: tuple[SignalConfig, ...] = Field(default=BY_DEFAULT, min_length=1)
    """What is measured; the rules read the columns of these."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Version of every signal; filled in when the job starts, so that a changed signal is another job."""
    taken_down: str = ""
    """Digest of what was taken down; filled in when the job starts, so that a takedown makes it another job."""


def run(config: CurateConfig, session: Session) -> Outcome:
    """Measure and judge; outputs `images`, its `version`, the `funnel` (JSON, one object a category) and the `report` (HTML)."""
    signals = signals_of(config.signals, session.workspace)
    versions = {one.name: one.version for one in signals}
    taken_down = read_blocked(session.workspace).digest
    filled_in = {"images": pin_rows(config.images).model_dump(), "versions": versions, "taken_down": taken_down}
    resolved = CurateConfig.model_validate({**config.model_dump(), **filled_in})
    return run_job("curate", resolved, session, partial(_curate, resolved, session, signals))


def _curate(config: CurateConfig, session: Session, signals: Sequence[Signal], run: Run) -> Work:
    done = fill("curate", session, config.images, signals, workers=Actors(config.workers))
    set_aside(config.images.uri, read_blocked(session.workspace), error_columns=config.rules.quarantine.columns)
    table, counts = judge_table(config.images, config.rules, measured=signals)
    total, num_rows = counts.to_pylist()[-1], open_table(config.images).count_rows()
    assert total["rows"] == num_rows, (total, num_rows)
    digest, spent = job_digest("curate", config), costs(done, "curate")
    stored_funnel = _store(counts, session, digest)
    report = write_report(config.images, config.rules, session, run, digest=digest, metrics=spent)
    session.progress.say(f"curate: open {report}")
    run.log_table(table.uri, commit.version_of(table), "output")
    return Work(
        rows_in=num_rows,
        rows_out=total["kept"],
        quarantined=total["quarantined"],
        outputs={"images": table.uri, "version": str(table.version), "funnel": stored_funnel, "report": report},
        metrics={"curate/measured_images": done.num_rows, **spent, **funnel.as_metrics(counts, "curate")},
        note=f"measured {done.num_rows:,} of {num_rows:,} pictures: {funnel.in_words(counts)}",
    )


def _store(counts: pa.Table, session: Session, digest: str) -> str:
    """Store the funnel; gives its place."""
    parts = ("funnels", f"curate-{digest}.json")
    session.workspace.write_text(json.dumps(counts.to_pylist(), indent=1), *parts)
    return session.workspace.uri(*parts)
