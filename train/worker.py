"""One Ray Train worker: builds the objective, takes up where the newest checkpoint left off, trains, exports.

Everything that must survive lies in the run's folder, which all workers and the driver see: checkpoints, meters and, at the
end, the weights. Ray Train's own checkpoint store is not used: its last report can be lost when a worker dies right after it.
"""

import logging
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import ray.train
import torch
import torch.distributed as dist
from torch import nn

from curation.tables import open_table
from models.bundle import Lineage, save_bundle
from train.config import FitConfig
from train.ema import Average
from train.feed import Feed, RowCache, load_samples
from train.loop import train_steps
from train.meters import MeterFile, Reading
from train.objectives import build
from train.objectives.contract import Objective
from train.optim import optimizers
from train.parallel import owned_slots, sum_gradients, summed_meters
from train.state import TrainState

logger = logging.getLogger(__name__)

_TOKEN = "shared-with"


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
        self.checkpoints = folder / "checkpoints"
        self.meters = folder / "meters.jsonl"


def run_worker(arguments: dict[str, str]) -> None:
    """Train; what `ray.train.torch.TorchTrainer` calls in every worker.

    Args:
        arguments: JSON of the `FitConfig` and the `Lineage`, the folders of the run and of the bundle to write, and the token
            that the driver left in the former (`share`).

    Raises:
        UnsharedFolder: this worker does not see the driver's folder.
    """
    require_shared(Path(arguments["folder"]), arguments["token"])
    config = FitConfig.model_validate_json(arguments["config"])
    lineage = Lineage.model_validate_json(arguments["lineage"])
    context = ray.train.get_context()
    fit(
        config, lineage, FitFolder(Path(arguments["folder"])), bundle=Path(arguments["bundle"]),
        rank=context.get_world_rank(), num_workers=context.get_world_size(),
    )  # fmt: skip
    ray.train.report({"num_steps_done": config.loop.num_steps})


def fit(config: FitConfig, lineage: Lineage, folder: FitFolder, *, bundle: Path, rank: int, num_workers: int) -> None:
    """Train to the last step from wherever the run's folder says it is, then write the bundle."""
    torch.set_num_threads(config.threads_per_worker)
    torch.manual_seed(config.plan.seed)  # initial weights
    objective = build(config.objective)
    state = TrainState(
        objective.network, Average(objective.network, decay=config.loop.ema_decay), optimizers(objective.groups(), config.optim)
    )
    rows = RowCache(open_table(config.data), objective, cache_bytes=config.feed.cache_bytes)
    feed = Feed(load_samples(config.data, "train"), config.plan, rows, objective, config=config.feed)
    objective.learn_texts(feed.texts())
    if not state.restore(folder.checkpoints):
        objective.prepare(feed.target_pictures())
        state.average = Average(objective.network, decay=config.loop.ema_decay)
    logger.info("training", extra={"first_step": state.num_steps_done, "num_steps": config.loop.num_steps, "rank": rank})
    slots = owned_slots(config.plan.num_slots, rank=rank, num_workers=num_workers)
    meters = MeterFile(folder.meters, num_steps_done=state.num_steps_done) if rank == 0 else None
    inputs = feed.steps(state.num_steps_done, config.loop.num_steps, slots=slots)
    train_steps(
        state, objective, inputs, loop=config.loop, optim=config.optim,
        sum_over_workers=sum_gradients, after_step=_recorder(config, state, folder, meters),
    )  # fmt: skip
    if meters is not None:
        _export(objective, state, feed, lineage, bundle=bundle)
        meters.close()
    _wait_for_all()


def _recorder(
    config: FitConfig, state: TrainState, folder: FitFolder, meters: MeterFile | None
) -> Callable[[dict[str, float]], None]:
    def record(values: dict[str, float]) -> None:
        done = state.num_steps_done
        is_last = done == config.loop.num_steps
        if done % config.log_every_steps == 0 or is_last or done == 1:
            shared = summed_meters({name: values[name] for name in values if name not in _LOCAL_METERS})
            if meters is not None:
                meters.write(Reading(done, {**shared, **{name: values[name] for name in _LOCAL_METERS}}))
        if meters is not None and (done % config.checkpoint.every_steps == 0 or is_last):
            state.save(folder.checkpoints, keep=config.checkpoint.keep)

    return record


_LOCAL_METERS = ("gradient_norm", "rate_factor", "step_s", "data_wait_s", "samples_per_s")
"""Meters that are not sums over workers: rank 0's stand for all."""


def _export(objective: Objective, state: TrainState, feed: Feed, lineage: Lineage, *, bundle: Path) -> None:
    network: nn.Module = objective.network.eval()
    state.average.load_into(network)
    objective.finish(feed.target_pictures())
    contents, weights = objective.export()
    save_bundle(bundle, contents, weights, lineage=lineage, metrics={})


def _wait_for_all() -> None:
    if dist.is_initialized():
        dist.barrier()
