"""A run on Ray Train: what every worker of the group does.

Ray Train's controller, a process of its own, reads this module too: what trains is imported by the worker once it runs.

Ray Train's own checkpoint store is not used: its last report can be lost when a worker dies right after it.
"""

import json
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import ray.train
import ray.train.torch

from infra.errors import is_ours, one_line
from train.stopping import give_up, given_up, is_asked_by_driver

if TYPE_CHECKING:
    from train.parallel.world import World

_TOKEN = "shared-with"
_ASK_EVERY_S = 5.0
_MOST_STEPS = 1000


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
    from models.bundle import Lineage
    from train.config import FitConfig
    from train.fitting import FitFolder, fit
    from train.health import Peak
    from train.loop import Stopped
    from train.parallel.world import World

    require_shared(Path(arguments["folder"]), arguments["token"])
    if given_up(Path(arguments["folder"])):                          # said before the group was started again
        ray.train.report({})
        return
    config = FitConfig.model_validate_json(arguments["config"])
    lineage = Lineage.model_validate_json(arguments["lineage"])
    context = ray.train.get_context()
    world = World(context.get_world_rank(), context.get_world_size(), ray.train.torch.get_device())
    folder, bundle = FitFolder(Path(arguments["folder"])), Path(arguments["bundle"])
    peak = Peak(**json.loads(arguments["peak"]))
    try:
        fit(config, lineage, folder, bundle=bundle, world=world, is_warned=Notices(world), peak=peak)
    except Stopped:
        if not is_asked_by_driver(folder.place):
            raise
    except ValueError as error:
        if is_ours(error):
            give_up(folder.place, one_line(error))
        raise
    ray.train.report({})


class Notices:
    """Whether Ray will take a node of the run away, asked every few seconds, by every worker after the same steps."""

    def __init__(self, world: "World", ask: Callable[[], object | None] = ray.train.get_preemption_info) -> None:
        self._world, self._ask = world, ask
        self._asked_at, self._ask_at, self._since, self._is_noticed = -1, 0, 0.0, False

    def __call__(self, num_steps_done: int) -> bool:
        """What Ray said when it was last asked."""
        if self._asked_at < 0 or num_steps_done < self._asked_at:     # begun, or gone back: how long steps take is not known
            self._look(num_steps_done, following=1)
        elif num_steps_done >= self._ask_at:
            a_step_s = (time.monotonic() - self._since) / (num_steps_done - self._asked_at)
            slowest_s = max(self._world.gathered(a_step_s))           # the same on all workers, so that they ask together
            self._look(num_steps_done, following=max(1, min(_MOST_STEPS, int(_ASK_EVERY_S / max(slowest_s, 1e-6)))))
        return self._is_noticed

    def _look(self, num_steps_done: int, *, following: int) -> None:
        self._asked_at, self._ask_at, self._since = num_steps_done, num_steps_done + following, time.monotonic()
        self._is_noticed = self._ask() is not None
