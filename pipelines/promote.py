"""Give a bundle a name that the server follows, if its evaluation is good enough.

The gate reads the recorded metrics of an ``evaluate`` job, so a bundle is promoted on numbers that can be looked up. Passing it
registers a version that points at the bundle's folder and moves the alias; nothing is copied. What the bundle has seen is written
beside it, so that a bundle in use can always be walked back to its sources.
"""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, Field

from infra.errors import UserError
from infra.session import Session
from infra.tracking import Run
from models.bundle import read_manifest
from pipelines.job import Outcome, Work, job_digest, run_job
from pipelines.lineage import keep_evidence
from pipelines.serve.choice import CHAMPION, NAME


class GateNotPassed(UserError):
    """A bundle's scores are below what promotion asks for."""


class AtLeast(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The metric must reach a value."""

    kind: Literal["at_least"] = "at_least"
    metric: str
    value: float


class AtMost(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The metric must not exceed a value."""

    kind: Literal["at_most"] = "at_most"
    metric: str
    value: float


class AtMostShare(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The metric must not exceed a share of another one, for example half of what noise scores."""

    kind: Literal["at_most_share"] = "at_most_share"
    metric: str
    share: Annotated[float, Field(gt=0)]
    of: str
    """Name of the other metric."""


Condition = Annotated[AtLeast | AtMost | AtMostShare, Field(discriminator="kind")]


class PromoteConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which bundle, on which evidence, under which name."""

    bundle: str
    """Folder of the bundle."""
    evaluation: str
    """Digest of the ``evaluate`` job whose record holds the metrics."""
    gate: tuple[Condition, ...]
    """All of them must hold; none means that everything passes."""
    name: str = NAME
    """Registered name."""
    alias: str = CHAMPION
    """Alias to move; the server follows "champion" of "generator"."""


class Finding(NamedTuple):
    """One condition held against the metrics."""

    holds: bool
    text: str


def run(config: PromoteConfig, session: Session) -> Outcome:
    """Registers the bundle, writes what it has seen beside it and moves the alias.

    The alias is set even when this very promotion is on record: another one may have moved it since.

    Raises:
        GateNotPassed: a condition does not hold.
        UserError: the evaluation is of another bundle or does not exist.
        MissingTable: the tables that the bundle was trained on are gone.
    """
    metrics = gated_metrics(config, session)
    outcome = run_job("promote", config, session, lambda tracked: _register(config, metrics, session, tracked))
    session.registry.set_alias(config.name, config.alias, int(outcome.outputs["version"]))
    return outcome


def refused(config: PromoteConfig, refusal: GateNotPassed) -> Outcome:
    """The outcome of a promotion that the gate did not let through: nothing went out, and the note says why. Never recorded."""
    return Outcome(
        job="promote", digest=job_digest("promote", config), finished=datetime.now(UTC), seconds=0, rows_in=1, rows_out=0,
        quarantined=0, outputs={}, metrics={}, run_id="", note=f"refused: {refusal}", bytes=0,
    )  # fmt: skip


def gated_metrics(config: PromoteConfig, session: Session) -> dict[str, float]:
    """Metrics of the evaluation, when all conditions of the gate hold.

    Raises:
        GateNotPassed: lists every condition that does not hold, with what was seen.
        UserError: the evaluation is of another bundle.
    """
    evaluation = Outcome.model_validate_json(session.workspace.read_text("jobs", f"evaluate-{config.evaluation}.json"))
    given, evaluated = read_manifest(Path(config.bundle)).digest, evaluation.outputs["bundle_digest"]
    if evaluated != given:
        raise UserError(
            f"evaluation {config.evaluation} is of bundle {evaluated}, not of {given} in {config.bundle}; evaluate that one first"
        )
    failed = [finding.text for finding in check_gate(config.gate, evaluation.metrics) if not finding.holds]
    if failed:
        raise GateNotPassed(f"bundle {config.bundle} is not promoted: {'; '.join(failed)}")
    return evaluation.metrics


def check_gate(gate: tuple[Condition, ...], metrics: dict[str, float]) -> list[Finding]:
    """Every condition held against the metrics, in order; a metric that was not measured or is not a number fails."""
    return [_check(condition, metrics) for condition in gate]


def _register(config: PromoteConfig, metrics: dict[str, float], session: Session, tracked: Run) -> Work:
    manifest = read_manifest(Path(config.bundle))
    keep_evidence(Path(config.bundle))
    version = session.registry.register(config.bundle, config.name, manifest.lineage.run_id, metrics)
    tracked.set_tags({"bundle": manifest.digest, "model.version": version, "evaluation": config.evaluation})
    note = f"bundle {manifest.digest} is {config.name} version {version}, alias {config.alias}"
    return Work(
        rows_in=1,
        rows_out=1,
        quarantined=0,
        outputs={"version": str(version), "bundle_digest": manifest.digest},
        metrics={},
        note=note,
    )


def _check(condition: Condition, metrics: dict[str, float]) -> Finding:
    seen = metrics.get(condition.metric, math.nan)
    match condition:
        case AtLeast(value=value):
            return Finding(seen >= value, f"{condition.metric} is {seen:.4g}, expected at least {value:.4g}")
        case AtMost(value=value):
            return Finding(seen <= value, f"{condition.metric} is {seen:.4g}, expected at most {value:.4g}")
        case AtMostShare(share=share, of=of):
            most = share * metrics.get(of, math.nan)
            return Finding(seen <= most, f"{condition.metric} is {seen:.4g}, expected at most {most:.4g} ({share:g} of {of})")
