"""A run on one of its workers: builds the objective and its engine, goes on at the newest checkpoint, trains, exports.

Everything that must survive lies in the run's folder, which all workers and the driver see: checkpoints, meters, events, previews
and, at the end, the weights. Going back to a checkpoint is starting over in the same process: the same under every engine.
"""

import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import torch

from models.bundle import Lineage, save_bundle
from train.checkpoint import Checkpoints
from train.config import FitConfig
from train.events import Events
from train.feed import Feed
from train.guard import Guard, Memory, RolledBack
from train.health import Peak
from train.loop import Hooks, Stopped, train_steps
from train.meters import MeterFile
from train.objectives import build
from train.objectives.contract import Objective
from train.objectives.flow import Flow
from train.parallel import build as build_engine
from train.parallel.contexts import contexts
from train.parallel.world import World
from train.plan import Plan
from train.preview import Previews
from train.recorder import Recorder
from train.samples import load_samples
from train.schedule import rate_factor
from train.sources import build_source
from train.state import TrainState
from train.stopping import is_asked
from train.watchdog import Watchdog

logger = logging.getLogger(__name__)


class FitFolder:
    """Names inside a run's folder."""

    def __init__(self, folder: Path) -> None:
        self.place = folder
        self.checkpoints = folder / "checkpoints"
        self.meters = folder / "meters.jsonl"
        self.previews = folder / "previews"


class _Run(NamedTuple):
    """A run under way."""

    config: FitConfig
    folder: FitFolder
    world: World
    objective: Objective
    state: TrainState
    feed: Feed
    checkpoints: Checkpoints
    events: Events
    peak: Peak | None


def fit(
    config: FitConfig, lineage: Lineage, folder: FitFolder, *, bundle: Path, world: World,
    is_warned: Callable[[int], bool] = lambda _: False, peak: Peak | None = None,
) -> None:  # fmt: skip
    """Train to the last step from wherever the run's folder says it is, then write the bundle.

    Args:
        is_warned: asked by every worker after every step; True makes a checkpoint at once, if no answer before was True.
        peak: what utilisation is a share of; None reads no utilisation.

    Raises:
        Stopped: the run was asked to stop; a checkpoint of the last step is there.
        Diverged: steps that do harm came again and again.
    """
    torch.set_num_threads(config.threads_per_worker)
    guard = Guard(config.guard)
    events = Events(folder.place, writer=f"rank-{world.rank}")
    while True:
        with Watchdog(folder.place, rank=world.rank, num_workers=world.size, hang_s=config.hang_s) as watchdog:
            try:
                run = _begin(config, folder, world, guard, events, peak)
                _train(run, watchdog, is_warned=is_warned)
                watchdog.doing("start")                              # the end of a run takes its time, too
                _export(run, lineage, bundle=bundle)
            except RolledBack:
                logger.warning("going back to the newest checkpoint", extra={"left_out": guard.memory.left_out})
                if world.rank == 0:
                    events.write("rolled back", left_out=" ".join(map(str, guard.memory.left_out)))
            else:
                return


def _begin(config: FitConfig, folder: FitFolder, world: World, guard: Guard, events: Events, peak: Peak | None) -> _Run:
    torch.manual_seed(config.plan.seed)  # initial weights of networks that are not drawn by name
    objective = build(config.objective)
    engine = build_engine(
        config.parallel, config.memory, objective, optim=config.optim, precision=config.loop.precision, world=world,
        seed=config.plan.seed,
    )  # fmt: skip
    state = TrainState(engine, guard, ema_decay=config.loop.ema_decay)
    samples = load_samples(config.data, "train", unit=objective.unit)
    plan = Plan(config.plan, samples.sizes, cost=objective.cost)
    feed = Feed(samples, plan, objective, build_source(config.feed.rows, config.data, objective), config=config.feed)
    objective.learn_texts(samples.all_texts())
    checkpoints = Checkpoints(folder.checkpoints, config.checkpoint, world)
    restored = checkpoints.restore(state)
    if restored is None:
        objective.prepare(feed.target_pictures())
        state.begin_average()
        guard.recall(Memory())
    if world.rank == 0:
        damaged = "; ".join(f"{damage.name}: {damage.problem}" for damage in restored.passed_over) if restored else ""
        events.write("resumed" if restored else "started", step=state.num_steps_done, num_workers=world.size, passed_over=damaged)
    return _Run(config, folder, world, objective, state, feed, checkpoints, events, peak)


def _train(run: _Run, watchdog: Watchdog, *, is_warned: Callable[[int], bool]) -> None:
    config, state, world = run.config, run.state, run.world
    meters = MeterFile(run.folder.meters, num_steps_done=state.num_steps_done) if world.rank == 0 else None
    recorder = Recorder(
        state, run.checkpoints, meters, world=world, config=config, events=run.events, watchdog=watchdog,
        previews=_previews(run), is_warned=is_warned, peak=run.peak,
    )  # fmt: skip
    hooks = Hooks(
        after_step=recorder, rate=lambda step: _rate(config, step), frozen=lambda step: config.plan.stage_at(step).frozen,
        doing=watchdog.doing, is_asked_to_stop=lambda: is_asked(run.folder.place), contexts=contexts(config.plan, world),
    )  # fmt: skip
    inputs = run.feed.steps(state.num_steps_done, config.num_steps, rank=world.rank, num_workers=world.size)
    try:
        with closing(inputs):
            train_steps(state, run.objective, inputs, world=world, hooks=hooks)
        watchdog.doing("checkpoint")
        run.checkpoints.save(state)
    except Stopped:
        run.checkpoints.save(state)
        run.checkpoints.wait()
        if world.rank == 0:
            run.events.write("interrupted", step=state.num_steps_done)
        raise
    finally:
        if meters is not None:
            meters.close()
        run.checkpoints.close()


def _previews(run: _Run) -> Previews | None:
    if run.config.preview is None or not isinstance(run.objective, Flow):
        return None
    return Previews(run.config.preview, run.objective, run.folder.previews, num_steps=run.config.num_steps)


def _rate(config: FitConfig, step: int) -> float:
    return config.plan.stage_at(step).rate * rate_factor(config.optim.schedule, step, num_steps=config.num_steps)


def _export(run: _Run, lineage: Lineage, *, bundle: Path) -> None:
    """Write the averaged weights as a bundle; the first worker does, with what all gather."""
    averaged = {name: tensor.cpu() for name, tensor in run.state.averaged().items()}
    if run.world.rank == 0:
        objective = build(run.config.objective)                      # one that no engine holds parts of
        objective.network.load_state_dict(averaged, assign=True)
        objective.network.eval()
        objective.finish(run.feed.target_pictures())
        contents, weights = objective.export()
        save_bundle(bundle, contents, weights, lineage=lineage, metrics={})
        run.events.write("finished", step=run.state.num_steps_done)
    run.world.wait()
