"""What every job has in common: done once, recorded once, found again.

A job is its name, its resolved configuration (input tables pinned to versions) and its code. Their digest names the record under
``jobs/``.
A job whose record is there returns it at once: a chain that was broken off goes on where it was, and a second run does nothing.
"""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import yaml
from pydantic import BaseModel, ValidationError

from infra import logs
from infra.packages import PACKAGES
from infra.progress import clock_time
from infra.provenance import code_digest
from infra.session import Session
from infra.storage import Workspace, canonical_json, digest_of, exists, require_free_space, size_bytes
from infra.tracking import Run

logger = logging.getLogger(__name__)

_DECIDED_BY: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("ingest", "curate", "caption", "pairs", "select", "sweep"), ("curation",)),
    "encode": ("curation", "models"),
    "fit": ("models", "train"),
    "evaluate": ("models", "eval"),
    "promote": ("pipelines",),
}
"""Packages whose code decides the result of a job; another version of them makes it another job. All of ours when not listed.

`fit` and `evaluate` read tables through `curation`, but what they read is pinned by version, so its code is no part of them.
"""

MIN_FREE_BYTES = 200_000_000
"""No job begins with less free on the workspace's disk; jobs that know how much they write ask for more themselves."""


class Outcome(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What a finished job did: the record under ``jobs/<job>-<digest>.json``."""

    job: str
    """Name of the job."""
    digest: str
    """Of the job's name, its resolved configuration and its code."""
    finished: datetime
    """When it was done, with the time zone."""
    seconds: float
    """Wall time of the body."""
    rows_in: int
    """Rows (or requests, samples) read."""
    rows_out: int
    """Rows (or samples, files) made."""
    quarantined: int
    """Rows set aside because they could not be read or judged."""
    outputs: dict[str, str]
    """Name to path or URI, or another short value."""
    metrics: dict[str, float]
    """Named ``stage/quantity_unit``."""
    run_id: str
    """MLflow run, "" when nothing was recorded."""
    note: str
    """One line: what it did."""
    bytes: int
    """Size of the outputs in storage."""


class Work(NamedTuple):
    """What the body of a job hands back."""

    rows_in: int
    rows_out: int
    quarantined: int
    outputs: dict[str, str]
    metrics: dict[str, float]
    note: str


def run_job(
    name: str, config: BaseModel, session: Session, body: Callable[[Run], Work], *, identity: BaseModel | None = None
) -> Outcome:
    """The recorded outcome of this very configuration, or the outcome of running `body` now.

    Args:
        config: resolved, with every input table pinned: its digest decides whether there is anything to do.
        body: retry-safe; a job that was broken off is run again from its own intermediate state.
        identity: the part of the configuration whose digest decides, when it is not the whole.

    Raises:
        UserError: hardly any disk space is left.
    """
    digest = job_digest(name, identity or config)
    known = _recorded(name, digest, session)
    if known is not None:
        session.progress.say(f"{name}: nothing to do, done before: {known.note}")
        return known
    if not session.workspace.is_remote:
        require_free_space(session.workspace.local(), MIN_FREE_BYTES)
    session.workspace.write_text(_yaml(config), "jobs", f"{name}-{digest}.yaml")
    with session.tracker.run(name, config, digest=digest) as run, logs.context(job=name):
        started = time.monotonic()
        work = body(run)
        outcome = _outcome(name, digest, work, seconds=time.monotonic() - started, run_id=run.id)
        counts = {"job/wall_s": outcome.seconds, "job/rows_in": work.rows_in, "job/rows_out": work.rows_out}
        run.log_metrics({**work.metrics, **counts})
    session.workspace.write_text(outcome.model_dump_json(indent=2), "jobs", f"{name}-{digest}.json")
    session.progress.say(f"{name}: {outcome.note} · {clock_time(outcome.seconds)}{_set_aside(outcome)}")
    return outcome


def job_digest(name: str, config: BaseModel) -> str:
    """Names the record of a job: its name, its configuration and the code that decides what comes out."""
    return digest_of(f"{name}\n{canonical_json(config)}\n{code_digest(*_DECIDED_BY.get(name, PACKAGES))}")


def finished(name: str, workspace: Workspace) -> list[Outcome]:
    """Records of a job whose outputs are all still there, the latest last."""
    return [outcome for outcome in recorded(name, workspace) if all(exists(place) for place in _places(outcome.outputs))]


def recorded(name: str, workspace: Workspace) -> list[Outcome]:
    """Records of a job, whatever became of its outputs, the latest last."""
    found = (_read_record(file, workspace) for file in workspace.names("jobs", f"{name}-*.json"))
    return sorted((outcome for outcome in found if outcome is not None), key=lambda outcome: outcome.finished)


def _read_record(file: str, workspace: Workspace) -> Outcome | None:
    """None for a record of another release, which cannot have been made by this code."""
    try:
        return Outcome.model_validate_json(workspace.read_text("jobs", file))
    except ValidationError:
        logger.warning("a record of another release is passed over", extra={"record": file})
        return None


def _recorded(name: str, digest: str, session: Session) -> Outcome | None:
    file = f"{name}-{digest}.json"
    outcome = _read_record(file, session.workspace) if session.workspace.exists("jobs", file) else None
    if outcome is None:
        return None
    gone = [place for place in _places(outcome.outputs) if not exists(place)]
    if gone:
        logger.warning("record without its output, so the job runs again", extra={"job_name": name, "missing": gone[0]})
        return None
    return outcome


def _outcome(name: str, digest: str, work: Work, *, seconds: float, run_id: str) -> Outcome:
    stored = sum(size_bytes(place) for place in _places(work.outputs))
    return Outcome(
        job=name,
        digest=digest,
        finished=datetime.now(UTC),
        seconds=seconds,
        run_id=run_id,
        bytes=stored,
        rows_in=work.rows_in,
        rows_out=work.rows_out,
        quarantined=work.quarantined,
        outputs=work.outputs,
        metrics=work.metrics,
        note=work.note,
    )


def _places(outputs: dict[str, str]) -> list[str]:
    return [value for value in outputs.values() if value.startswith("/") or ("://" in value and not value.startswith("http"))]


def _set_aside(outcome: Outcome) -> str:
    return f" · {outcome.quarantined:,} quarantined" if outcome.quarantined else ""


def _yaml(config: BaseModel) -> str:
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
