"""A run on one of its workers: builds the objective and its engine, goes on at the newest checkpoint, trains, exports.

Everything that must survive lies in the run's folder, which all workers and the driver see: checkpoints, meters, events, previews
and, at the end, the weights. Going back to a checkpoint is starting over in the same process: the same under every engine.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

from models.bundle import Lineage, save_bundle
from models.context import Context
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

T = TypeVar("T")

_TEXTS_AT_ONCE = 4096


class FitFolder:
    """Names inside a run's folder."""

    def __init__(self, folder: Path) -> None:
        self.place = folder
        self.checkpoints = folder / "checkpoints"
        self.meters = folder / "meters.jsonl"
        self.previews = folder / "previews"


class _Site(NamedTuple):
    """What stays the same through all attempts of a run on this worker."""

    config: FitConfig
    lineage: Lineage
    folder: FitFolder
    bundle: Path
    world: World
    guard: Guard
    events: Events
    is_warned: Callable[[int], bool]
    peak: Peak | None


class _Run(NamedTuple):
    """One attempt under way."""

    site: _Site
    watchdog: Watchdog
    objective: Objective
    state: TrainState
    feed: Feed
    checkpoints: Checkpoints


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
    events = Events(folder.place, writer=f"rank-{world.rank}")
    site = _Site(config, lineage, folder, bundle, world, Guard(config.guard), events, is_warned, peak)
    while True:
        try:
            _attempt(site)
        except RolledBack:
            left_out = " ".join(map(str, site.guard.memory.left_out))
        else:
            return
        logger.warning("going back to the newest checkpoint", extra={"left_out": left_out})
        if world.rank == 0:
            events.write("rolled back", left_out=left_out)


def _attempt(site: _Site) -> None:
    """From the newest checkpoint to the end; what it held is given up with it."""
    config, world = site.config, site.world
    with Watchdog(site.folder.place, rank=world.rank, num_workers=world.size, hang_s=config.hang_s) as watchdog:
        run = _begin(site, watchdog)
        _train(run)
        watchdog.doing("start")                                      # the end of a run takes its time, too
        _export(run)


def _begin(site: _Site, watchdog: Watchdog) -> _Run:
    config, world = site.config, site.world
    torch.manual_seed(config.plan.seed)  # initial weights of networks that are not drawn by name
    objective = build(config.objective)
    engine = build_engine(
        config.parallel, config.memory, objective, optim=config.optim, precision=config.loop.precision, world=world,
        seed=config.plan.seed,
    )  # fmt: skip
    state = TrainState(engine, site.guard, ema_decay=config.loop.ema_decay)
    samples = load_samples(
        config.data, "train", unit=objective.unit, text_encoder=objective.text_encoder, max_letters=objective.max_letters,
        latents=config.plan.latents,
    )  # fmt: skip
    plan = Plan(config.plan, samples.sizes, cost=objective.cost)
    feed = Feed(samples, plan, objective, build_source(config.feed.rows, config.data, objective), config=config.feed)
    for texts in _moving(_parts(samples.all_texts()), watchdog):
        objective.learn_texts(texts)
    run = _Run(site, watchdog, objective, state, feed, Checkpoints(site.folder.checkpoints, config.checkpoint, world))
    _take_up(run)
    return run


def _take_up(run: _Run) -> None:
    """Go on from the newest checkpoint, or begin."""
    site, state = run.site, run.state
    restored = run.checkpoints.restore(state)
    if restored is None:
        run.objective.prepare(_moving(run.feed.target_pictures(), run.watchdog))
        state.begin_average()
        site.guard.recall(Memory())
    if site.world.rank == 0:
        damaged = "; ".join(f"{damage.name}: {damage.problem}" for damage in restored.passed_over) if restored else ""
        kind = "resumed" if restored else "started"
        site.events.write(kind, step=state.num_steps_done, num_workers=site.world.size, passed_over=damaged)


def _train(run: _Run) -> None:
    config, world, state = run.site.config, run.site.world, run.state
    meters = MeterFile(run.site.folder.meters, num_steps_done=state.num_steps_done) if world.rank == 0 else None
    recorder = Recorder(
        state, run.checkpoints, meters, world=world, config=config, events=run.site.events, watchdog=run.watchdog,
        previews=_previews(run), is_warned=run.site.is_warned, peak=run.site.peak,
    )  # fmt: skip
    inputs = run.feed.steps(state.num_steps_done, config.num_steps, rank=world.rank, num_workers=world.size)
    try:
        with closing(inputs), contexts(config.plan, world) as groups:
            train_steps(state, run.objective, inputs, world=world, hooks=_hooks(run, recorder, groups))
        run.watchdog.doing("checkpoint")
        run.checkpoints.save(state)
    except Stopped:
        run.checkpoints.save(state)
        run.checkpoints.wait()
        if world.rank == 0:
            run.site.events.write("interrupted", step=state.num_steps_done)
        raise
    finally:
        if meters is not None:
            meters.close()
        run.checkpoints.close()


def _hooks(run: _Run, recorder: Recorder, groups: Mapping[range, Context]) -> Hooks:
    config = run.site.config
    return Hooks(
        after_step=recorder, rate=lambda step: _rate(config, step), frozen=lambda step: config.plan.stage_at(step).frozen,
        doing=run.watchdog.doing, is_asked_to_stop=lambda: is_asked(run.site.folder.place), contexts=groups,
    )  # fmt: skip


def _previews(run: _Run) -> Previews | None:
    config = run.site.config
    if config.preview is None or not isinstance(run.objective, Flow):
        return None
    return Previews(config.preview, run.objective, run.site.folder.previews, num_steps=config.num_steps)


def _rate(config: FitConfig, step: int) -> float:
    return config.plan.stage_at(step).rate * rate_factor(config.optim.schedule, step, num_steps=config.num_steps)


def _export(run: _Run) -> None:
    """Write the averaged weights as a bundle; the first worker does, with what all gather."""
    site = run.site
    averaged = {name: tensor.cpu() for name, tensor in run.state.averaged().items()}
    if site.world.rank == 0:
        objective = build(site.config.objective)                     # one that no engine holds parts of
        objective.network.load_state_dict(averaged, assign=True)
        objective.network.eval().to(site.world.device)
        objective.finish(_moving(run.feed.target_pictures(), run.watchdog))
        contents, weights = objective.export()
        save_bundle(site.bundle, contents, weights, lineage=site.lineage, metrics={})
        site.events.write("finished", step=run.state.num_steps_done)
    site.world.wait()


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + _TEXTS_AT_ONCE] for start in range(0, len(texts), _TEXTS_AT_ONCE))


def _moving(parts: Iterable[T], watchdog: Watchdog) -> Iterator[T]:
    """The parts, with a word to the watchdog after each: what takes long is no hang while it moves."""
    for part in parts:
        yield part
        watchdog.at_work()
