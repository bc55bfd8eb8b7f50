"""Demo: the whole chain in one go, from an empty folder to a served generator and a report.

Every stage is a job of its own with its own record, so a demo that was broken off goes on where it was, and a second one does
nothing again. What a stage leaves open (tables, selections and bundles made by stages before it) is filled in as they finish.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import BaseModel

from curation.tables import TableRef
from infra.progress import clock_time
from infra.session import Session
from pipelines import caption, curate, encode, evaluate, fit, ingest, pairs, promote, select, visit
from pipelines.demo_report import write_report
from pipelines.job import Outcome
from pipelines.overrides import validated
from train.config import FitConfig

ConfigT = TypeVar("ConfigT", bound=BaseModel)


class DemoConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One configuration per stage, in order; references to the results of earlier stages are filled in."""

    ingest: ingest.IngestConfig
    """Pictures into a table."""
    curate: curate.CurateConfig
    """Measure and judge."""
    caption: caption.CaptionConfig
    """Describe."""
    pairs: pairs.PairsConfig
    """Edits and compositions."""
    select: select.SelectConfig
    """What training may see."""
    autoencoder: FitConfig
    """Pictures to latents."""
    contrastive: FitConfig
    """The head that scores retrieval."""
    encode: encode.EncodeConfig
    """Latents as a column."""
    text: FitConfig
    """Texts in two languages to states."""
    generator: FitConfig
    """Text, edits and compositions to pictures."""
    compare: evaluate.EvaluateConfig | None = None
    """Scores beside another generator, on pictures that both have learnt; None for no such stage."""
    evaluate: evaluate.EvaluateConfig
    """Scores and grids."""
    promote: promote.PromoteConfig
    """The registry's champion."""
    visit: visit.VisitConfig
    """Requests to a server over HTTP."""


class Finished(NamedTuple):
    """A stage and what it did."""

    name: str
    outcome: Outcome


class Chain:
    """Runs stages one after the other, showing which of how many."""

    def __init__(self, session: Session, num_stages: int) -> None:
        self._session, self._num_stages = session, num_stages
        self.finished: list[Finished] = []

    def run(self, name: str, job: Callable[[ConfigT, Session], Outcome], config: ConfigT, **filled: object) -> Outcome:
        """Run the next stage, its configuration completed by `filled`."""
        self._session.progress.enter(len(self.finished) + 1, self._num_stages)
        outcome = job(_filled(config, filled), self._session)
        self.finished.append(Finished(name, outcome))
        return outcome

    def outcome(self, name: str) -> Outcome:
        """What the stage of that name did."""
        return next(stage.outcome for stage in self.finished if stage.name == name)


def run(config: DemoConfig, session: Session) -> None:
    """Run every stage, then write ``report.html`` and ``summary.json`` into the workspace."""
    chain = Chain(session, num_stages=sum(getattr(config, name) is not None for name in DemoConfig.model_fields))
    _data(config, chain)
    _models(config, chain)
    _judgement(config, chain)
    seconds = sum(stage.outcome.seconds for stage in chain.finished)
    summary = _summary(chain.finished, session)
    session.workspace.write_text(json.dumps(summary, indent=2) + "\n", "summary.json")
    report = write_report(chain.finished, config, session)
    session.progress.say(f"demo: {len(chain.finished)} stages, {clock_time(seconds)} of work; open {report}")


def _data(config: DemoConfig, chain: Chain) -> None:
    done = chain.run("ingest", ingest.run, config.ingest)
    done = chain.run("curate", curate.run, config.curate, images=_table(done))
    done = chain.run("caption", caption.run, config.caption, images=_table(done))
    done = chain.run("pairs", pairs.run, config.pairs, images=_table(done))
    both = {"uri": done.outputs["pairs"], "version": int(done.outputs["pairs_version"])}
    chain.run("select", select.run, config.select, images=_table(done), pairs=both)


def _models(config: DemoConfig, chain: Chain) -> None:
    selected = _table(chain.outcome("select"))
    autoencoder = chain.run("fit autoencoder", fit.run, config.autoencoder, data=selected)
    chain.run("fit contrastive", fit.run, config.contrastive, data=selected)
    bundle = autoencoder.outputs["bundle"]
    encoded = chain.run("encode", encode.run, config.encode, images=selected, bundle=bundle)
    text = chain.run("fit text", fit.run, config.text, data=selected)
    read_by = {"kind": "fitted", "bundle": text.outputs["bundle"]}
    objective = {**config.generator.objective.model_dump(), "autoencoder": bundle, "text_encoder": read_by}
    chain.run("fit generator", fit.run, config.generator, data=_table(encoded), objective=objective)


def _judgement(config: DemoConfig, chain: Chain) -> None:
    bundle = chain.outcome("fit generator").outputs["bundle"]
    judging = {
        "images": _table(chain.outcome("encode")), "bundle": bundle,
        "contrastive": chain.outcome("fit contrastive").outputs["bundle"],
    }  # fmt: skip
    if config.compare is not None:                                   # first: the newest evaluation is the one of all samples
        chain.run("compare", evaluate.run, config.compare, **judging)
    judged = chain.run("evaluate", evaluate.run, config.evaluate, **judging)
    chain.run("promote", _promoted_or_refused, config.promote, bundle=bundle, evaluation=judged.digest)
    served = {**config.visit.serve.model_dump(), "bundle": bundle}
    chain.run("visit", visit.run, config.visit, serve=served, evaluation=judged.outputs["folder"])


def _promoted_or_refused(config: promote.PromoteConfig, session: Session) -> Outcome:
    """A bundle that misses the gate is served all the same, so that it can be looked at; its refusal is a stage like others."""
    try:
        return promote.run(config, session)
    except promote.GateNotPassed as refusal:
        session.progress.say(f"promote: refused, {refusal}")
        return promote.refused(config, refusal)


def _table(outcome: Outcome) -> dict[str, str | int | None]:
    version, selection = int(outcome.outputs["version"]), outcome.outputs.get("selection")
    return TableRef(uri=outcome.outputs["images"], version=version, selection=selection).model_dump()


def _filled(config: ConfigT, filled: dict[str, object]) -> ConfigT:
    return validated(type(config), {**config.model_dump(), **filled})


def _summary(finished: list[Finished], session: Session) -> dict[str, object]:
    outcomes = {stage.name: stage.outcome for stage in finished}
    generator, encoded, visited = outcomes["fit generator"], outcomes["encode"], Path(outcomes["visit"].outputs["folder"])
    return {
        "stages": [
            {"name": stage.name, **stage.outcome.model_dump(include={"seconds", "rows_in", "rows_out"})} for stage in finished
        ],
        "metrics": outcomes["evaluate"].metrics,
        "comparison": outcomes["compare"].metrics if "compare" in outcomes else {},
        "samples": {task: sorted(str(path) for path in (visited / task).glob("*.png")) for task in visit.TASKS},
        "bundle": generator.outputs["bundle"],
        "mlflow_run_id": session.tracker.chain_run_id,
        "table": encoded.outputs["images"],
        "version": int(encoded.outputs["version"]),
    }
