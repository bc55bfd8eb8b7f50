"""Sweep: many decisions over one table, compared on one page; the one that is picked is stored as a decision.

Columns are read once and no picture is opened. Variants share whatever their settings have in common.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pydantic import BaseModel, Field

from curation import commit
from curation.comparison import Difference, Summary, difference, overlaps, summarised
from curation.dedup.rule import DedupConfig
from curation.evidence import Evidence
from curation.judging import FeatureColumn
from curation.tables import TableRef, open_table, pin
from curation.verdict import Decision, DecisionConfig, columns_of, decide, decision_table
from eval.document import write
from infra.errors import UserError
from infra.session import Session
from infra.storage import digest_of
from infra.tracking import Run
from pipelines.job import Outcome, Work, job_digest, run_job
from pipelines.overrides import apply
from pipelines.sweep_page import Compared, page

MOST_VARIANTS = 2000
"""More are refused: the page and the record would not be read by anybody."""


class GridAxis(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One setting and the values it takes."""

    path: str
    """Setting of the rules, as for ``--set``: ``drop.blurred.limit``."""
    values: tuple[str, ...] = Field(min_length=1)
    """YAML values, as written."""


class SweepConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which rows, which rules, and how these vary."""

    images: TableRef
    """The table of pictures, measured."""
    rules: DecisionConfig
    """The recipe for deciding that is varied."""
    grid: tuple[GridAxis, ...]
    """Every combination of the values is one variant, the last axis changing fastest; none leaves the rules as they are."""
    pick: int | None = Field(ge=1)
    """Number of the variant whose decision is stored; None for none."""
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.]*$")
    """First part of the stored decision's name."""


class Variant(NamedTuple):
    """One combination of the grid."""

    number: int
    """From 1."""
    settings: tuple[tuple[str, str], ...]
    """Paths and values."""
    rules: DecisionConfig


class Swept(NamedTuple):
    """What a variant came to."""

    variant: Variant
    summary: Summary
    seconds: float


def run(config: SweepConfig, session: Session) -> Outcome:
    """Decide by every variant; outputs `page`, and `decision` with the picked variant's rows, reasons and weights."""
    resolved = SweepConfig.model_validate({**config.model_dump(), "images": pin(config.images).model_dump()})
    return run_job("sweep", resolved, session, partial(_sweep, resolved, session))


def variants_of(rules: DecisionConfig, grid: tuple[GridAxis, ...]) -> list[Variant]:
    """All combinations of the grid, validated.

    Raises:
        UserError: an unknown setting, a value that it refuses, or too many combinations.
    """
    num = 1
    for axis in grid:
        num *= len(axis.values)
    if num > MOST_VARIANTS:
        sizes = " x ".join(str(len(axis.values)) for axis in grid)
        raise UserError(f"the grid has {sizes} = {num:,} variants; at most {MOST_VARIANTS:,} are compared, give fewer values")
    combinations = itertools.product(*([(axis.path, value) for value in axis.values] for axis in grid))
    return [
        Variant(number, settings, apply(rules, [f"{path}={value}" for path, value in settings]))
        for number, settings in enumerate(combinations, start=1)
    ]


def swept(evidence: Evidence, variants: list[Variant], *, on_done: Callable[[], None]) -> Iterator[Swept]:
    """Decide by one variant after the other; what they share is found out by the first that needs it."""
    dedups = [variant.rules.dedup for variant in variants if variant.rules.dedup is not None]
    yardstick = max(dedups, key=_looseness, default=None)
    for variant in variants:
        began = time.perf_counter()
        summary = summarised(evidence, variant.rules, decide(evidence, variant.rules), yardstick=yardstick)
        yield Swept(variant, summary, time.perf_counter() - began)
        on_done()


def _looseness(config: DedupConfig) -> tuple[int, float]:
    """Greater for settings under which more rows count as one."""
    return (-1, 0.0) if config.near is None else (config.near.bits, -config.near.cosine)


def _sweep(config: SweepConfig, session: Session, run: Run) -> Work:
    variants = variants_of(config.rules, config.grid)
    if config.pick is not None and config.pick > len(variants):
        raise UserError(f"pick={config.pick}, but the grid has {len(variants)} variants")
    sizes = " x ".join(str(len(axis.values)) for axis in config.grid)
    session.progress.say(f"sweep: {sizes + ' = ' if sizes else ''}{len(variants):,} variants")
    evidence = _evidence(config, variants)
    digest = job_digest("sweep", config)
    with session.progress.stage("sweep", total=len(variants), unit="variants") as bar:
        done = list(swept(evidence, variants, on_done=bar.advance))
    for one in done:
        _record(one, session, parent=run, digest=digest)
    written = _write_page(done, evidence, session, digest)
    run.log_file(written)
    run.log_table(config.images.uri, commit.version_of(config.images), "input")
    outputs = {"page": str(written), **_store(config, evidence, done, session)}
    best = max(done, key=lambda one: one.summary.counts["kept"])
    return Work(
        rows_in=evidence.num_rows, rows_out=best.summary.counts["kept"], quarantined=best.summary.counts["quarantined"],
        outputs=outputs,
        metrics={"sweep/variants": len(done), "sweep/decide_s": sum(one.seconds for one in done)},
        note=f"{len(done):,} variants over {evidence.num_rows:,} rows in {sum(one.seconds for one in done):.1f} s; "
        f"they keep {min(one.summary.counts['kept'] for one in done):,} to {best.summary.counts['kept']:,}",
    )  # fmt: skip


def _evidence(config: SweepConfig, variants: list[Variant]) -> Evidence:
    """The columns that any variant reads."""
    others = {variant.rules.features for variant in variants} - {config.rules.features}
    if others:
        raise UserError(f"the grid compares by {min(others)!r} as well as {config.rules.features!r}; sweep each column apart")
    columns = dict.fromkeys(name for variant in variants for name in columns_of(variant.rules))
    there = open_table(config.images).schema.names
    lacking = [name for name in columns if name not in there]
    if lacking:
        raise UserError(f"table {config.images.uri} has no column {lacking[0]!r} that the rules read; run `seedbed curate` first")
    rows = commit.rows_of(config.images, list(columns))
    return Evidence(rows, features=FeatureColumn(open_table(config.images), config.rules.features, rows["_rowid"]))


def _record(one: Swept, session: Session, *, parent: Run, digest: str) -> None:
    """One MLflow run for a variant, below that of the sweep."""
    name = digest_of(f"{digest} {one.variant.number}")
    with session.tracker.run("variant", one.variant.rules, digest=name) as run:
        below = {"mlflow.parentRunId": parent.id} if parent.id else {}
        run.set_tags({"sweep": digest, "decision": one.summary.digest, **below})
        run.log_params(dict(one.variant.settings))
        counts = {f"sweep/{name}_images": float(count) for name, count in one.summary.counts.items()}
        leaves, clusters = one.summary.effective_leaves, one.summary.effective_clusters
        diversity = {"sweep/effective_leaves": leaves, "sweep/effective_clusters": clusters}
        run.log_metrics({**counts, **diversity, "sweep/decide_s": one.seconds})


def _write_page(done: list[Swept], evidence: Evidence, session: Session, digest: str) -> Path:
    first = done[0].summary
    differences: list[Difference] = [difference(evidence, first, one.summary) for one in done]
    lines = [
        Compared(one.variant.number, one.variant.settings, one.summary, each, one.seconds)
        for one, each in zip(done, differences, strict=True)
    ]
    place = session.workspace.local("sweeps", f"{digest}.html")
    write(page(lines, overlaps([one.summary for one in done])), place)
    return place


def _store(config: SweepConfig, evidence: Evidence, done: list[Swept], session: Session) -> dict[str, str]:
    """Store the picked decision; gives its place, by name."""
    if config.pick is None:
        return {}
    variant, summary, _ = done[config.pick - 1]
    decision: Decision = decide(evidence, variant.rules)
    table: pa.Table = decision_table(evidence, variant.rules, decision)
    uri = session.workspace.uri("decisions", f"{config.name}-{summary.digest[:12]}.lance")
    return {"decision": commit.write_selection(uri, table).uri}
