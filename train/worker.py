"""One worker of a run: builds the objective and its engine, goes on where the newest checkpoint left off, trains, exports.

Everything that must survive lies in the run's folder, which all workers and the driver see: checkpoints, meters and, at the
end, the weights. Ray Train's own checkpoint store is not used: its last report can be lost when a worker dies right after it.
Going back to a checkpoint is starting over in the same process, so it is the same under every engine.
"""

import logging
import secrets
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import ray.train
import ray.train.torch
import torch

from models.bundle import Lineage, save_bundle
from train.checkpoint import Checkpoints
from train.config import FitConfig
from train.feed import Feed
from train.fetch import build_source
from train.guard import Guard, RolledBack
from train.loop import Hooks, Stopped, Taken, train_steps
from train.meters import MeterFile
from train.objectives import build
from train.objectives.contract import Objective
from train.parallel import build as build_engine
from train.parallel.world import World
from train.plan import Plan
from train.recorder import Recorder
from train.samples import load_samples
from train.schedule import rate_factor
from train.state import TrainState
from train.stopping import is_asked, is_asked_by_driver

logger = logging.getLogger(__name__)

_TOKEN = "shared-with"
_STEPS_BETWEEN_QUESTIONS = 10


class UnsharedFolder(ValueError):
    """A worker looks at another disk than the driver."""


def share(folder: Path) -> str:
    """Leave a token in the run's folder, by which workers know that they see the driver's disk."""
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(8)
    (folder / _TOKEN).write_text(token)
    return token


def require_shared(folder: Path, token: str) -> None:
    """Refuse to train where checkpoints would be lost to the others.

    Raises:
        UnsharedFolder: the folder is not there, or is another one than the driver's.
    """
    place = folder / _TOKEN
    if not place.is_file() or place.read_text() != token:
        raise UnsharedFolder(
            f"node {socket.gethostname()} does not see the run's folder {folder} as the driver does; "
            "give a --root on a disk that all nodes of the cluster share"
        )


class FitFolder:
    """Names inside a run's folder."""

    def __init__(self, folder: Path) -> None:
        self.place = folder
        self.checkpoints = folder / "checkpoints"
        self.meters = folder / "meters.jsonl"


def run_worker(arguments: dict[str, str]) -> None:
    """Train; what `ray.train.torch.TorchTrainer` calls in every worker.

    Args:
        arguments: JSON of the `FitConfig` and the `Lineage`, the folders of the run and of the bundle to write, and the token
            that the driver left in the former (`share`).

    Raises:
        UnsharedFolder: this worker does not see the driver's folder.
        Stopped: this worker, or another, got a signal; a checkpoint of the last step is there. No error when the driver asked.
    """
    require_shared(Path(arguments["folder"]), arguments["token"])
    config = FitConfig.model_validate_json(arguments["config"])
    lineage = Lineage.model_validate_json(arguments["lineage"])
    context = ray.train.get_context()
    world = World(context.get_world_rank(), context.get_world_size(), ray.train.torch.get_device())
    folder = FitFolder(Path(arguments["folder"]))
    try:
        fit(config, lineage, folder, bundle=Path(arguments["bundle"]), world=world, is_warned=_preemption_notice)
    except Stopped:
        if not is_asked_by_driver(folder.place):
            raise
    ray.train.report({})


def _preemption_notice(step: int) -> bool:
    """Whether Ray will take a node of the run away; every worker asks at the same steps."""
    return step % _STEPS_BETWEEN_QUESTIONS == 0 and ray.train.get_preemption_info() is not None


def fit(
    config: FitConfig, lineage: Lineage, folder: FitFolder, *, bundle: Path, world: World,
    is_warned: Callable[[int], bool] = lambda _: False,
) -> None:  # fmt: skip
    """Train to the last step from wherever the run's folder says it is, then write the bundle.

    Args:
        is_warned: asked by every worker after every step; True makes a checkpoint at once, if the answer before was another.

    Raises:
        Stopped: the run was asked to stop; a checkpoint of the last step is there.
        Diverged: steps that do harm came again and again.
    """
    torch.set_num_threads(config.threads_per_worker)
    guard = Guard(config.guard)
    while True:
        try:
            _attempt(config, lineage, folder, bundle=bundle, world=world, guard=guard, is_warned=is_warned)
        except RolledBack:
            logger.warning("going back to the newest checkpoint", extra={"left_out": guard.memory.left_out})
        else:
            return


def _attempt(
    config: FitConfig, lineage: Lineage, folder: FitFolder, *, bundle: Path, world: World, guard: Guard,
    is_warned: Callable[[int], bool],
) -> None:  # fmt: skip
    torch.manual_seed(config.plan.seed)  # initial weights of networks that are not drawn by name
    objective = build(config.objective)
    engine = build_engine(config.parallel, config.memory, objective, optim=config.optim, world=world, seed=config.plan.seed)
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
    logger.info("training", extra={"first_step": state.num_steps_done, "num_steps": config.num_steps, "rank": world.rank})
    _train(config, folder, state, objective, feed, checkpoints, world=world, is_warned=is_warned)
    _export(config, state, feed, lineage, bundle=bundle, world=world)


def _train(
    config: FitConfig, folder: FitFolder, state: TrainState, objective: Objective, feed: Feed, checkpoints: Checkpoints, *,
    world: World, is_warned: Callable[[int], bool],
) -> None:  # fmt: skip
    meters = MeterFile(folder.meters, num_steps_done=state.num_steps_done) if world.rank == 0 else None
    recorder = Recorder(
        state, checkpoints, meters, world=world, log_every_steps=config.log_every_steps, num_steps=config.num_steps,
        is_warned=is_warned,
    )  # fmt: skip
    hooks = Hooks(
        after_step=recorder, rate=lambda step: _rate(config, step), frozen=lambda step: config.plan.stage_at(step).frozen,
        is_asked_to_stop=lambda: is_asked(folder.place),
    )  # fmt: skip
    inputs = feed.steps(state.num_steps_done, config.num_steps, rank=world.rank, num_workers=world.size)
    try:
        with closing(inputs):
            train_steps(state, objective, inputs, loop=config.loop, world=world, hooks=hooks)
    except Stopped:
        checkpoints.save(state)
        raise
    finally:
        if meters is not None:
            meters.close()
        checkpoints.close()


def _rate(config: FitConfig, step: int) -> float:
    return config.plan.stage_at(step).rate * rate_factor(config.optim.schedule, step, num_steps=config.num_steps)


def _export(config: FitConfig, state: TrainState, feed: Feed, lineage: Lineage, *, bundle: Path, world: World) -> None:
    """Write the averaged weights as a bundle; the first worker does, with what all gather."""
    averaged = {name: tensor.cpu() for name, tensor in state.averaged().items()}
    if world.rank == 0:
        objective = build(config.objective)                          # one that no engine holds parts of
        objective.network.load_state_dict(averaged, assign=True)
        objective.network.eval()
        objective.finish(feed.target_pictures())
        contents, weights = objective.export()
        save_bundle(bundle, contents, weights, lineage=lineage, metrics={})
    world.wait()
