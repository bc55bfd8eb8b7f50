"""Fit: train an objective with Ray Train, from the newest checkpoint when the run was broken off, and write its bundle."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import lance

from curation.tables import pin
from infra.errors import UserError
from infra.progress import Bar
from infra.provenance import code_digest
from infra.session import Session
from infra.tracking import Run
from models.bundle import Lineage, TableVersion, read_manifest
from pipelines.job import Outcome, Work, job_digest, run_job
from train.config import FitConfig
from train.meters import Reading, readings
from train.objectives import build
from train.objectives.flow import FlowConfig
from train.plan import Plan
from train.samples import load_samples, require_latents

_LOOK_EVERY_S = 1.0


def run(config: FitConfig, session: Session) -> Outcome:
    """Train; outputs `name`, `bundle` (its folder), `digest`, and `meters` (the file with the curve)."""
    if config.data.selection is None:
        raise UserError("fit needs data.selection, the output of `seedbed select`: it says which rows may be seen")
    resolved = FitConfig.model_validate({**config.model_dump(), "data": pin(config.data).model_dump()})
    return run_job("fit", resolved, session, partial(_fit, resolved, session))


def _fit(config: FitConfig, session: Session, run: Run) -> Work:
    name = f"{config.name}-{job_digest('fit', config)}"
    folder, bundle = session.workspace.local("fits", name), session.workspace.local("bundles", name)
    _require_usable(config, session)
    lineage = _lineage(config, run)
    meters = folder / "meters.jsonl"
    run.log_table(config.data.uri, lineage.tables[0].version, "train")
    run.log_table(lineage.selection.uri, lineage.selection.version, "selection")
    session.start_ray()
    with (
        session.progress.stage(f"fit {config.name}", total=config.num_steps, unit="steps") as bar,
        _following(meters, bar, run),
    ):
        _train(config, lineage, folder=folder, bundle=bundle)
    curve = list(readings(meters))
    manifest = read_manifest(bundle)
    last = curve[-1].values
    num_samples = config.num_steps * config.plan.batch_samples
    losses = f"loss {curve[0].values['loss']:.4f} -> {last['loss']:.4f}"
    return Work(
        rows_in=num_samples, rows_out=config.num_steps, quarantined=0,
        outputs={"name": config.name, "bundle": str(bundle), "digest": manifest.digest, "meters": str(meters)},
        metrics={f"train/{key}": value for key, value in last.items()},
        note=f"{config.name}: {config.num_steps:,} steps, {num_samples:,} samples, {losses}",
    )  # fmt: skip


def _require_usable(config: FitConfig, session: Session) -> None:
    """Find out before any worker is started whether table and selection give what the plan wants, and say what it will do."""
    if isinstance(config.objective, FlowConfig):
        require_latents(config.data, read_manifest(Path(config.objective.autoencoder)).digest)
    objective = build(config.objective)
    samples = load_samples(config.data, "train", unit=objective.unit)
    plan = Plan(config.plan, samples.sizes, cost=objective.cost)
    if plan.share_over_cap:
        shared = f"shared by {config.plan.context_slots} slots each" if config.plan.context_slots > 1 else "a pack each"
        session.progress.say(
            f"{plan.share_over_cap:.2%} of {len(samples):,} samples have more than {config.plan.max_tokens:,} tokens: {shared}"
        )


def _train(config: FitConfig, lineage: Lineage, *, folder: Path, bundle: Path) -> None:
    from train.launch import Interrupted, Unusable, launch  # heavy: Ray Train

    try:
        launch(config, lineage, folder=folder, bundle=bundle)
    except Unusable as error:
        raise UserError(str(error)) from error
    except Interrupted as error:
        done = max((reading.step for reading in readings(folder / "meters.jsonl")), default=0)
        raise UserError(f"fit was asked to stop after step {done:,} of {config.num_steps:,}; run it again to go on") from error


def _lineage(config: FitConfig, run: Run) -> Lineage:
    assert config.data.version is not None, config.data
    assert config.data.selection is not None, config.data
    parents: tuple[str, ...] = ()
    if isinstance(config.objective, FlowConfig):
        parents = (read_manifest(Path(config.objective.autoencoder)).digest,)
    return Lineage(
        run_id=run.id, tables=(TableVersion(uri=config.data.uri, version=config.data.version),),
        selection=TableVersion(uri=config.data.selection, version=lance.dataset(config.data.selection).version),
        parents=parents, code=code_digest(),
    )  # fmt: skip


@contextmanager
def _following(meters: Path, bar: Bar, run: Run) -> Iterator[None]:
    """Show and record the meters as the workers write them."""
    over = threading.Event()
    first = max((reading.step for reading in readings(meters)), default=0)
    bar.start_at(first)

    def forward(after: int) -> int:
        fresh = list(readings(meters, after=after))
        if fresh:
            run.log_series([(reading.step, _tracked(reading)) for reading in fresh])
            bar.set(fresh[-1].step, note=f"loss {fresh[-1].values['loss']:.4f}")
        return fresh[-1].step if fresh else after

    def follow() -> None:
        step = first
        while not over.wait(_LOOK_EVERY_S):
            step = forward(step)
        forward(step)

    with ThreadPoolExecutor(1, thread_name_prefix="meters") as pool:
        following = pool.submit(follow)
        try:
            yield
        finally:
            over.set()
        following.result()  # a tracker that went away is said once training is safe


def _tracked(reading: Reading) -> dict[str, float]:
    return {f"train/{name}": value for name, value in reading.values.items()}
