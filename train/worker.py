"""A run on Ray Train: what every worker of the group does.

Ray Train's own checkpoint store is not used: its last report can be lost when a worker dies right after it.
"""

import json
import secrets
import socket
from pathlib import Path

import ray.train
import ray.train.torch

from models.bundle import Lineage
from train.config import FitConfig
from train.fitting import FitFolder, fit
from train.guard import Diverged
from train.health import Peak
from train.loop import Stopped
from train.parallel.world import World
from train.stopping import give_up, is_asked_by_driver

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


def run_worker(arguments: dict[str, str]) -> None:
    """Train; what `ray.train.torch.TorchTrainer` calls in every worker.

    Args:
        arguments: JSON of the `FitConfig`, the `Lineage` and the `Peak`, the folders of the run and of the bundle to write, and
            the token that the driver left in the former (`share`).

    Raises:
        UnsharedFolder: this worker does not see the driver's folder.
        Stopped: this worker, or another, got a signal; a checkpoint of the last step is there. No error when the driver asked.
    """
    require_shared(Path(arguments["folder"]), arguments["token"])
    config = FitConfig.model_validate_json(arguments["config"])
    lineage = Lineage.model_validate_json(arguments["lineage"])
    context = ray.train.get_context()
    world = World(context.get_world_rank(), context.get_world_size(), ray.train.torch.get_device())
    folder, bundle = FitFolder(Path(arguments["folder"])), Path(arguments["bundle"])
    peak = Peak(**json.loads(arguments["peak"]))
    try:
        fit(config, lineage, folder, bundle=bundle, world=world, is_warned=_preemption_notice, peak=peak)
    except Stopped:
        if not is_asked_by_driver(folder.place):
            raise
    except Diverged as error:                                        # all workers meet it in the same step
        if world.rank == 0:
            give_up(folder.place, str(error))
    ray.train.report({})


def _preemption_notice(step: int) -> bool:
    """Whether Ray will take a node of the run away; every worker asks at the same steps."""
    return step % _STEPS_BETWEEN_QUESTIONS == 0 and ray.train.get_preemption_info() is not None
