"""Runs on Ray Train: a group of workers that is started again at the newest checkpoint when one of them dies.

The driver's SIGTERM or Ctrl-C asks all workers to finish their step, write a checkpoint and end; so does a SIGTERM to one worker,
after which Ray Train starts the group again where it has room. When Ray knows that a node will be taken away, workers learn of it
within seconds, write a checkpoint and train on until it is. A run that says why it cannot go on trains no more: the group that
Ray starts again reads the reason and ends. One whose folder a worker does not see cannot say so there, and is tried again.
"""

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer

from infra.errors import is_ours, one_line_with_type
from models.bundle import Lineage
from train import stopping
from train.callbacks import Listen, Tell
from train.config import FitConfig
from train.events import Events
from train.health import Health
from train.worker import run_worker, share


class Interrupted(Exception):
    """The run was asked to stop, and did after writing a checkpoint."""


class GaveUp(ValueError):
    """A worker met what starting again would not help: a mistake of the user's, or steps that do harm again and again."""


def launch(config: FitConfig, lineage: Lineage, health: Health, *, folder: Path, bundle: Path) -> None:
    """Train to the end, or until asked to stop.

    Args:
        health: of the nodes; no worker is placed on unfit ones.
        folder: of the run; every worker must see it as the driver does.

    Raises:
        Interrupted: it was asked to stop; the next launch goes on.
        GaveUp: starting again would not help.
        KeyboardInterrupt: it was asked a second time before it had stopped.
        TrainingFailedError: workers failed more often than `max_failures`, or Ray Train did.
    """
    stopping.take_back(folder)
    trainer = _trainer(config, lineage, health, folder=folder, bundle=bundle)
    with _passing_on(folder) as is_asked:
        try:
            _fitted(trainer)
        except TrainingFailedError as error:
            if not stopping.given_up(folder):
                mistake = _mistake(error)
                Events(folder, writer="driver").write("failed", problem=one_line_with_type(mistake or error))
                if mistake is None:
                    raise
                raise mistake from error
    if why := stopping.given_up(folder):
        Events(folder, writer="driver").write("failed", problem=why)
        raise GaveUp(why)
    if is_asked and not bundle.exists():                             # it may have come to its end all the same
        raise Interrupted


def _trainer(config: FitConfig, lineage: Lineage, health: Health, *, folder: Path, bundle: Path) -> TorchTrainer:
    return TorchTrainer(
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


def _fitted(trainer: TorchTrainer) -> None:
    """Run to the end in another thread: in the main one Ray takes Ctrl-C for itself, and aborts without a checkpoint."""
    ended: Future[None] = Future()

    def run() -> None:
        try:
            trainer.fit()
        except BaseException as error:  # noqa: BLE001  handed over to the main thread, which raises it
            ended.set_exception(error)
        else:
            ended.set_result(None)

    threading.Thread(target=run, name="ray-train", daemon=True).start()
    ended.result()


def _scaling(config: FitConfig, health: Health) -> ScalingConfig:
    workers = config.num_workers if config.min_workers is None else (config.min_workers, config.num_workers)
    return ScalingConfig(
        num_workers=workers, use_gpu=config.use_gpu, resources_per_worker={"CPU": config.cpus_per_worker},
        label_selector=health.label_selector(),
    )  # fmt: skip


def _mistake(error: TrainingFailedError) -> Exception | None:
    """The mistake of the user's that a worker failed of, if one did."""
    failures = error.worker_failures.values() if isinstance(error, WorkerGroupError) else ()
    return next((cause for cause in failures if is_ours(cause)), None)


@contextmanager
def _passing_on(folder: Path) -> Iterator[list[int]]:
    """Pass the first request to stop on to the workers, and end at once on the second; yields the signals that came."""
    came: list[int] = []

    def ask(number: int, _: object) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt
        stopping.ask(folder)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
