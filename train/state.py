"""Checkpoints: everything that makes the next step the one that would have followed.

Written with torch.distributed.checkpoint into a folder beside its place, with a manifest of file digests, then renamed; the
newest `keep` stay. Reading takes the newest one whose files match their digests and falls back to the one before. The place
in the data needs no more than the step number, because the plan and every random draw are functions of it.
"""

import hashlib
import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.optim import Optimizer

from train.ema import Average

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
_MANIFEST = "manifest.json"


class TrainState:
    """A network being trained, with its average, its optimizers and the number of steps behind it."""

    def __init__(self, network: nn.Module, average: Average, optimizers: Sequence[Optimizer]) -> None:
        self.network = network
        self.average = average
        self.optimizers = list(optimizers)
        self.num_steps_done = 0

    def save(self, folder: Path, *, keep: int) -> Path:
        """Write a checkpoint of this step under `folder` and drop all but the newest `keep`."""
        name = f"step-{self.num_steps_done:08d}"
        beside = folder / f".{name}.writing"
        shutil.rmtree(beside, ignore_errors=True)
        with _one_process():
            save(self._tensors(), checkpoint_id=beside, no_dist=True)
        files = {str(path.relative_to(beside)): _sha256(path) for path in sorted(beside.rglob("*")) if path.is_file()}
        manifest = {"format_version": FORMAT_VERSION, "num_steps_done": self.num_steps_done, "files": files}
        (beside / _MANIFEST).write_text(json.dumps(manifest, indent=2))
        place = folder / name
        shutil.rmtree(place, ignore_errors=True)
        beside.rename(place)
        for old in _checkpoints(folder)[:-keep]:
            shutil.rmtree(old)
        return place

    def restore(self, folder: Path) -> bool:
        """Take over the newest undamaged checkpoint under `folder`; False when there is none."""
        for place in reversed(_checkpoints(folder)):
            if (problem := _damage(place)) is not None:
                logger.warning("checkpoint skipped", extra={"checkpoint": str(place), "problem": problem})
                continue
            self._load(place)
            return True
        return False

    def _load(self, place: Path) -> None:
        tensors = self._tensors()
        with _one_process():
            load(tensors, checkpoint_id=place, no_dist=True)
        self.network.load_state_dict(tensors["network"])
        self.average.state = dict(tensors["average"])
        for optimizer, state in zip(self.optimizers, tensors["optimizers"].values(), strict=True):
            set_optimizer_state_dict(self.network, optimizer, state, options=_OPTIONS)
        self.num_steps_done = json.loads((place / _MANIFEST).read_text())["num_steps_done"]

    def _tensors(self) -> dict[str, dict]:
        return {
            "network": self.network.state_dict(),
            "average": self.average.state,
            "optimizers": {
                str(index): get_optimizer_state_dict(self.network, optimizer, options=_OPTIONS)
                for index, optimizer in enumerate(self.optimizers)
            },
        }


_OPTIONS = StateDictOptions(ignore_frozen_params=True)


@contextmanager
def _one_process() -> Iterator[None]:
    """Torch 2.13 warns that it assumes a single process even when told so by `no_dist`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        yield


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _damage(place: Path) -> str | None:
    manifest_path = place / _MANIFEST
    if not manifest_path.is_file():
        return "no manifest"
    manifest = json.loads(manifest_path.read_text())
    if manifest["format_version"] != FORMAT_VERSION:
        return f"format version {manifest['format_version']}, expected {FORMAT_VERSION}"
    for name, digest in manifest["files"].items():
        path = place / name
        if not path.is_file() or _sha256(path) != digest:
            return f"{name} is missing or damaged"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
