"""Runs on Ray Train: a group of workers that is started again at the newest checkpoint when one of them dies.

The driver's SIGTERM or Ctrl-C asks all workers to finish their step, write a checkpoint and end; so does a SIGTERM to one worker,
after which Ray Train starts the group again where it has room. When Ray knows that a node will be taken away, workers write a
checkpoint at once and train on until it is.
"""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray.train import FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer

from models.bundle import Lineage
from train import stopping
from train.callbacks import Listen, Tell, one_line
from train.config import FitConfig
from train.events import Events
from train.guard import Diverged
from train.health import Health
from train.worker import run_worker, share


class Interrupted(RuntimeError):
    """The run was asked to stop, and did after writing a checkpoint."""


class Unusable(ValueError):
    """What the workers found wrong with the run before its first step."""


def launch(config: FitConfig, lineage: Lineage, health: Health, *, folder: Path, bundle: Path) -> None:
    """Train to the end, or until asked to stop.

    Args:
        health: of the nodes; no worker is placed on unfit ones.
        folder: of the run; every worker must see it as the driver does.

    Raises:
        Interrupted: it was asked to stop; the next launch goes on.
        Diverged: steps that do harm came again and again.
        Unusable: a worker found a mistake of the user's.
        WorkerGroupError: workers failed more often than `max_failures`.
    """
    stopping.take_back(folder)
    trainer = TorchTrainer(
        run_worker,
        train_loop_config={
            "config": config.model_dump_json(), "lineage": lineage.model_dump_json(),
            "folder": str(folder), "bundle": str(bundle), "token": share(folder),
            "peak": json.dumps(health.peak()._asdict()),
        },
        torch_config=TorchConfig(backend="nccl" if config.use_gpu else "gloo"),
        scaling_config=_scaling(config, health),
        run_config=RunConfig(
            name=folder.name, storage_path=str(folder / "ray"),
            callbacks=[Listen(), Tell(folder)],  # pyright: ignore[reportArgumentType]  Ray takes all of its kinds
            failure_config=FailureConfig(max_failures=config.max_failures),
        ),
    )  # fmt: skip
    with _passing_on(folder) as is_asked:
        try:
            trainer.fit()
        except WorkerGroupError as error:
            cause = _cause(error)
            Events(folder, writer="driver").write("failed", problem=one_line(cause))
            raise cause from error
    if why := stopping.given_up(folder):
        Events(folder, writer="driver").write("failed", problem=why)
        raise Diverged(why)
    if is_asked and not bundle.exists():                             # it may have come to its end all the same
        raise Interrupted


def _scaling(config: FitConfig, health: Health) -> ScalingConfig:
    workers = config.num_workers if config.min_workers is None else (config.min_workers, config.num_workers)
    return ScalingConfig(
        num_workers=workers, use_gpu=config.use_gpu, resources_per_worker={"CPU": config.cpus_per_worker},
        label_selector=health.label_selector(),
    )  # fmt: skip


def _cause(error: WorkerGroupError) -> Exception:
    """A mistake of the user's by itself, anything else as Ray tells it."""
    mistakes = [cause for cause in error.worker_failures.values() if isinstance(cause, ValueError)]
    return Unusable(str(mistakes[0])) if mistakes else error


@contextmanager
def _passing_on(folder: Path) -> Iterator[list[int]]:
    """Pass requests to stop on to the workers; yields the signals that came."""
    came: list[int] = []

    def ask(number: int, _: object) -> None:
        came.append(number)
        stopping.ask(folder)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
