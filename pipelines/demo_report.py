"""The demo's report: what every stage recorded, gathered into the page's plain values."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eval.charts import Chart, Series
from eval.document import write
from eval.page import page
from eval.report import Command, Comparison, Fact, Report, Stage, Tile, galleries
from infra.provenance import hardware
from infra.session import Session
from models.bundle import read_manifest
from pipelines.curate_page import funnel_lines
from pipelines.evaluate import read_scores
from pipelines.job import Outcome
from train.meters import readings

if TYPE_CHECKING:
    from pipelines.demo import DemoConfig, Finished

_SHOWN, _SHOWN_HELDOUT, _SHOWN_BESIDE = 60, 12, 12

_NOTES = (
    "Retrieval is by a small contrastive head fitted on this corpus, not CLIP. "
    "The Fréchet distance is on EfficientNet-lite0 features, not FID.",
    "Pictures are drawings: OpenMoji (CC BY-SA 4.0, outlined) and Twemoji (CC BY 4.0, flat). Models trained on them draw emoji.",
)


def write_report(finished: "Sequence[Finished]", config: "DemoConfig", session: Session) -> Path:
    """Write ``report.html`` into the workspace; gives its place."""
    outcomes = {stage.name: stage.outcome for stage in finished}
    evaluation = Path(outcomes["evaluate"].outputs["folder"])
    scores = read_scores(evaluation)
    metrics = outcomes["evaluate"].metrics
    report = Report(
        title="Seedbed demo",
        subtitle=_subtitle(finished, config),
        tiles=_tiles(metrics, sum(stage.outcome.seconds for stage in finished)),
        galleries=galleries(scores, evaluation, most=_SHOWN, most_heldout=_SHOWN_HELDOUT),
        scores=scores.scores,
        comparison=_comparison(outcomes, config),
        charts=tuple(_chart(name, outcome) for name, outcome in outcomes.items() if name.startswith("fit ")),
        funnel=funnel_lines(json.loads(Path(outcomes["curate"].outputs["funnel"]).read_text())),
        stages=tuple(_stage(stage.name, stage.outcome) for stage in finished),
        lineage=_lineage(outcomes, session),
        commands=_commands(session.workspace.root),
        notes=(*_NOTES, f"Made on {hardware()}."),
    )
    place = session.workspace.local("report.html")
    write(page(report), place)
    return place


def _subtitle(finished: "Sequence[Finished]", config: "DemoConfig") -> str:
    outcomes = {stage.name: stage.outcome for stage in finished}
    categories = " and ".join(config.select.rules.categories) or "all categories"
    return (
        f"One model for text-to-image, editing and composition, trained from nothing on "
        f"{outcomes['select'].rows_out:,} samples of "
        f"{categories} ({outcomes['ingest'].rows_out:,} drawings) and asked for pictures over HTTP."
    )


def _comparison(outcomes: dict[str, Outcome], config: "DemoConfig") -> Comparison | None:
    if config.compare is None:
        return None
    folder = Path(outcomes["compare"].outputs["folder"])
    scores = read_scores(folder)
    among = " and ".join(config.compare.categories) or "all categories"
    note = f"Bundle {scores.bundle} beside bundle {scores.beside}: the same prompts, references and noise, among {among}."
    shown = galleries(scores, folder, most=_SHOWN_BESIDE, most_heldout=_SHOWN_BESIDE)
    return Comparison(note, shown, scores.scores)


def _commands(root: str) -> tuple[Command, ...]:
    return (
        Command(f"seedbed serve --root {root}", "serve this generator, with a page to type a prompt"),
        Command(f"seedbed lineage FILE --root {root}", "from a served picture back to its source rows and licences"),
        Command("seedbed ingest --source folder:PATH", "begin with pictures of your own"),
        Command(f"seedbed fit generator --root {root} --set plan.stages.all.num_steps=1000", "train for longer on the selection"),
        Command(f"mlflow ui --backend-store-uri sqlite:///{root}/mlflow.db", "every run, with parameters and curves"),
    )


def _tiles(metrics: dict[str, float], seconds: float) -> tuple[Tile, ...]:
    wanted = (("t2i", "Text to image", 0.5), ("edit", "Edits", 0.3), ("compose", "Compositions", 0.3))
    found = [
        Tile(title, f"{value:.0%}", f"own caption first (R@1); real pictures {metrics[f'eval/retrieval_r1/{task}/real']:.0%}",
             "good" if value >= least else "bad")
        for task, title, least in wanted
        if (value := metrics.get(f"eval/retrieval_r1/{task}")) is not None
    ]  # fmt: skip
    return (
        *found,
        *_distance_tile(metrics),
        Tile("Work", f"{seconds / 60:.1f} min", "all stages, without the installation", "plain"),
    )


def _distance_tile(metrics: dict[str, float]) -> tuple[Tile, ...]:
    """None when there were too few pictures for a distance."""
    distance, noise = metrics.get("eval/frechet_lite0/t2i"), metrics.get("eval/frechet_lite0/t2i/noise")
    if distance is None or noise is None:
        return ()
    return (Tile("Fréchet-lite0", f"{distance:.0f}", f"noise is at {noise:.0f}", "good" if distance < noise / 2 else "bad"),)


def _chart(name: str, outcome: Outcome) -> Chart:
    points = tuple((float(reading.step), reading.values["loss"]) for reading in readings(Path(outcome.outputs["meters"])))
    return Chart(
        name.removeprefix("fit ").capitalize(), outcome.note, (Series("loss", points),), "optimizer steps", has_log_scale=True
    )


def _stage(name: str, outcome: Outcome) -> Stage:
    return Stage(name, outcome.seconds, outcome.rows_in, outcome.rows_out, outcome.quarantined, outcome.bytes, outcome.note)


def _lineage(outcomes: dict[str, Outcome], session: Session) -> tuple[Fact, ...]:
    bundle = Path(outcomes["fit generator"].outputs["bundle"])
    manifest = read_manifest(bundle)
    table = manifest.lineage.tables[0]
    return (
        Fact("bundle", manifest.digest, str(bundle)),
        Fact("built on", ", ".join(manifest.lineage.parents), "autoencoder"),
        Fact("run", manifest.lineage.run_id, f"in the tree of run {session.tracker.chain_run_id}"),
        Fact("selection", manifest.lineage.selection.uri, outcomes["select"].note),
        Fact("table", f"{table.uri} @ version {table.version}", outcomes["curate"].note),
    )
