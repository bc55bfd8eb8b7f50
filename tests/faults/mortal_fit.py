"""Trains a run in forked children that are killed while they write checkpoints: `python mortal_fit.py FOLDER OFFSET...`.

A child counts the file operations in the run's checkpoint folder since it began, and dies of SIGKILL at the given one. The next
child goes on where the newest checkpoint is. Prints, for every child, the offset and the step it began at.
"""

import os
import signal
import sys
from pathlib import Path

from models.bundle import Lineage
from train.config import FitConfig
from train.fitting import FitFolder, fit
from train.parallel.world import World

_WRITING = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "shutil.rmtree"}


def die_at(offset: int, folder: Path) -> None:
    """Let this process be killed at the `offset`-th operation that changes something in the folder."""
    seen = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event not in _WRITING or not str(arguments[0]).startswith(str(folder)):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        seen += 1
        if seen == offset:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def attempt(folder: Path, offset: int) -> bool:
    """Train in a child; whether it was killed."""
    child = os.fork()
    if child == 0:
        config = FitConfig.model_validate_json((folder / "config.json").read_text())
        lineage = Lineage.model_validate_json((folder / "lineage.json").read_text())
        die_at(offset, folder / "checkpoints")
        fit(config, lineage, FitFolder(folder), bundle=folder / "bundle", world=World(0, 1))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


if __name__ == "__main__":
    for each in sys.argv[2:]:
        print(int(each), attempt(Path(sys.argv[1]), int(each)), flush=True)  # noqa: T201  what the test reads
