"""Fit: train an objective with Ray Train, from the newest checkpoint when the run was broken off, and write its bundle."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from curation import commit
from curation.tables import TableRef, pin
from infra.errors import UserError
from infra.provenance import code_digest
from infra.session import Session
from infra.tracking import Run
from models.bundle import Lineage, TableVersion, read_manifest
from models.vlm import VlmConfig
from pipelines.following import following
from pipelines.job import Outcome, Work, job_digest, run_job
from train import outlook as outlooks
from train.config import FitConfig
from train.events import Events
from train.fitting import FitFolder
from train.health import Health, check_nodes
from train.meters import readings
from train.objectives import ObjectiveConfig, build
from train.objectives.autoencoder import AutoencoderObjectiveConfig
from train.objectives.flow import FlowConfig
from train.plan import Plan
from train.samples import load_samples, require_latents
from train.texts import parents_of


def run(config: FitConfig, session: Session) -> Outcome:
    """Train; outputs `name`, `bundle` (its folder), `digest`, and `meters` (the file with the curve)."""
    if config.data.selection is None:
        raise UserError("fit needs data.selection, the output of `seedbed select`: it says which rows may be seen")
    filled_in = {"data": pin(config.data).model_dump(), "objective": _named(config.objective).model_dump()}
    resolved = FitConfig.model_validate({**config.model_dump(), **filled_in})
    return run_job("fit", resolved, session, partial(_fit, resolved, session), identity=resolved.identity())


def outlook(config: FitConfig) -> list[str]:
    """What a generator's training will take, by arithmetic: `seedbed fit RECIPE --dry-run` says so below the settings."""
    if not isinstance(config.objective, FlowConfig):
        return []
    return list(outlooks.lines(outlooks.outlook(config, config.objective), config))


def _named(objective: ObjectiveConfig) -> ObjectiveConfig:
    """The objective with the digest of the vision-language model that it reads by, if it does."""
    match objective:
        case FlowConfig(text_encoder=VlmConfig(digest="") as reader):
            from models.perception.captioner import model_digest  # seconds of imports

            named = {**reader.model_dump(), "digest": model_digest(reader.model)}
            return FlowConfig.model_validate({**objective.model_dump(), "text_encoder": named})
        case _:
            return objective


def _fit(config: FitConfig, session: Session, run: Run) -> Work:
    name = f"{config.name}-{job_digest('fit', config.identity())}"
    folder, bundle = FitFolder(session.workspace.local("fits", name)), session.workspace.local("bundles", name)
    _require_usable(config, session)
    lineage = _lineage(config, run)
    run.log_table(config.data.uri, lineage.tables[0].version, "train")
    run.log_table(lineage.selection.uri, lineage.selection.version, "selection")
    session.start_ray()
    health = _fit_nodes(config, session, folder)
    with (
        session.progress.stage(f"fit {config.name}", total=config.num_steps, unit="steps") as bar,
        following(folder, bar, run),
    ):
        _train(config, lineage, health, session, folder=folder, bundle=bundle)
    curve = list(readings(folder.meters))
    manifest = read_manifest(bundle)
    last = curve[-1].values
    num_samples = config.num_steps * config.plan.batch_samples
    losses = f"loss {curve[0].values['loss']:.4f} -> {last['loss']:.4f}"
    return Work(
        rows_in=num_samples, rows_out=config.num_steps, quarantined=0,
        outputs={"name": config.name, "bundle": str(bundle), "digest": manifest.digest, "meters": str(folder.meters)},
        metrics={f"train/{key}": value for key, value in last.items()},
        note=f"{config.name}: {config.num_steps:,} steps, {num_samples:,} samples, {losses}",
    )  # fmt: skip


def _require_usable(config: FitConfig, session: Session) -> None:
    """Find out before any worker is started whether table and selection give what the plan wants, and say what it will do."""
    if isinstance(config.objective, FlowConfig):
        digest = read_manifest(Path(config.objective.autoencoder)).digest
        for latents in config.plan.latents:
            require_latents(config.data, digest, latents=latents)
    objective = build(config.objective)
    _require_parts(config, [name for name, _ in objective.network.named_parameters()])
    samples = load_samples(
        config.data, "train", unit=objective.unit, text_encoder=objective.text_encoder, max_letters=objective.max_letters,
        latents=config.plan.latents,
    )  # fmt: skip
    plan = Plan(config.plan, samples.sizes, cost=objective.cost)
    if plan.share_over_cap:
        shared = f"shared by {config.plan.context_slots} slots each" if config.plan.context_slots > 1 else "a pack each"
        session.progress.say(
            f"{plan.share_over_cap:.2%} of {len(samples):,} samples have more than {config.plan.max_tokens:,} tokens: {shared}"
        )


def _require_parts(config: FitConfig, names: Sequence[str]) -> None:
    """Refuse to freeze what is not there: it would be trained without a word."""
    for stage in config.plan.stages:
        for prefix in stage.frozen:
            if not any(name.startswith(prefix) for name in names):
                parts = sorted({name.partition(".")[0] for name in names})
                seen = f"stage {stage.name!r} freezes {prefix!r}, but no parameter of the network begins so"
                raise UserError(f"{seen}; there are: {', '.join(parts)}")


def _fit_nodes(config: FitConfig, session: Session, folder: FitFolder) -> Health:
    """Check the nodes, say which are left out, and refuse to begin on too few."""
    folder.place.mkdir(parents=True, exist_ok=True)
    dtype = torch.bfloat16 if config.loop.precision == "bf16" else torch.float32
    health = check_nodes(folder.place, config.health, dtype=dtype)
    events = Events(folder.place, writer="driver")
    for unfit in health.unfit:
        session.progress.say(str(unfit))
        events.write("node left out", node=unfit.node.id, host=unfit.node.host, reason=unfit.reason)
    room = sum(each.node.room(cpus_per_worker=config.cpus_per_worker, use_gpu=config.use_gpu) for each in health.fit)
    wanted = config.min_workers or config.num_workers
    if room >= wanted:
        return health
    seen = f"fit needs room for {wanted} workers, but the nodes that are fit, {len(health.fit)}, have room for {room}"
    if health.unfit:
        left_out = f"repair the {len(health.unfit)} that are left out ({health.unfit[0]}), or change the limits in health"
        raise UserError(f"{seen}; {left_out}")
    if session.settings.address is None:
        raise UserError(f"{seen}; give fewer workers, or less cpus_per_worker, or join a cluster with --address")
    session.progress.say(f"{seen}: waiting until the cluster has more")
    return health


def _train(
    config: FitConfig, lineage: Lineage, health: Health, session: Session, *, folder: FitFolder, bundle: Path
) -> None:
    from train.launch import Interrupted, launch  # heavy: Ray Train

    try:
        launch(config, lineage, health, folder=folder.place, bundle=bundle)
    except Interrupted as error:
        done = max((reading.step for reading in readings(folder.meters)), default=0)
        session.progress.say(f"fit {config.name} was asked to stop; step {done:,} of {config.num_steps:,} is safe")
        raise KeyboardInterrupt from error


def _lineage(config: FitConfig, run: Run) -> Lineage:
    assert config.data.version is not None, config.data
    assert config.data.selection is not None, config.data
    return Lineage(
        run_id=run.id, tables=(TableVersion(uri=config.data.uri, version=config.data.version),),
        selection=TableVersion(uri=config.data.selection, version=commit.version_of(pin(TableRef(uri=config.data.selection)))),
        parents=_parents(config), code=code_digest(),
    )  # fmt: skip


def _parents(config: FitConfig) -> tuple[str, ...]:
    match config.objective:
        case FlowConfig(autoencoder=folder, text_encoder=text_encoder):
            return (read_manifest(Path(folder)).digest, *parents_of(text_encoder))
        case AutoencoderObjectiveConfig(start=str(folder)):
            return (read_manifest(Path(folder)).digest,)
        case _:
            return ()
