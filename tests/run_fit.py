"""One worker of a run without Ray, as a process of its own."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import torch.distributed as dist

from models.bundle import Lineage
from train import stopping
from train.config import FitConfig
from train.fitting import FitFolder, fit
from train.parallel.world import World

_WRITING = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "shutil.rmtree"}


def listen_and_work(rank: int, size: int, rendezvous: Path, folders: Sequence[Path]) -> None:
    """The same in a process of its own, which may be asked to stop."""
    stopping.listen()
    work(rank, size, rendezvous, folders)


def work(rank: int, size: int, rendezvous: Path, folders: Sequence[Path]) -> None:
    """Train what the folders' config.json say, one after the other."""
    os.environ.setdefault("LOCAL_RANK", str(rank))                   # DeepSpeed asks for it; Ray Train sets it
    if size > 1:
        dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=size)
    for folder in folders:
        config = FitConfig.model_validate_json((folder / "config.json").read_text())
        lineage = Lineage.model_validate_json((folder / "lineage.json").read_text())
        fit(config, lineage, FitFolder(folder), bundle=folder / "bundle", world=World(rank, size))


def work_until(offset: int, folder: Path) -> None:
    """Train alone, and die of SIGKILL at the `offset`-th operation that changes something in the folder's checkpoints."""
    seen, place = 0, str(folder / "checkpoints")

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event not in _WRITING or not str(arguments[0]).startswith(place):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        seen += 1
        if seen == offset:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    work(0, 1, folder, [folder])
