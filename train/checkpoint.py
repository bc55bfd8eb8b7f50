"""Checkpoints: written beside, then renamed; the newest undamaged one is read.

torch.distributed.checkpoint writes every worker's part in a thread while training goes on (the state is copied to the host first;
that copy, and waiting for a write that is not done when the next is due, is all that training stands still for). Every worker
adds the SHA-256 of the files it wrote, the first one joins them into a manifest and renames the folder. Shards are read back
under any number of workers and any engine.
"""

import hashlib
import json
import logging
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import torch.distributed as dist
from annotated_types import Ge, Gt
from pydantic import BaseModel
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from train.parallel.world import World
from train.state import Facts, TrainState

logger = logging.getLogger(__name__)

FORMAT_VERSION = 3
_MANIFEST = "manifest.json"
_COPY = StagingOptions(use_pinned_memory=False, use_shared_memory=False, use_async_staging=False, use_non_blocking_copy=False)


class CheckpointConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How often progress is made safe."""

    every_steps: Annotated[int, Gt(0)] = 500
    """Steps between checkpoints; the last step is always kept."""
    keep: Annotated[int, Gt(0)] = 2
    """Newest checkpoints kept."""
    keep_every_steps: Annotated[int, Ge(0)] = 0
    """The first checkpoint at or after each multiple of this many steps is kept for good; 0 keeps none."""


class Damage(NamedTuple):
    """A checkpoint that could not be used."""

    name: str
    problem: str


class Restored(NamedTuple):
    """Where a run goes on."""

    step: int
    passed_over: tuple[Damage, ...]
    """Newer checkpoints that are damaged."""


class Checkpoints:
    """The checkpoints of one run; all workers save and restore together."""

    def __init__(self, folder: Path, config: CheckpointConfig, world: World) -> None:
        self._folder, self._config, self._world = folder, config, world
        group = dist.new_group(backend="gloo") if world.size > 1 else None
        assert not isinstance(group, int), group                     # that is for workers outside the group, and all are in it
        self._group = group
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._stager = DefaultStager(_COPY)
        self._under_way: Future[None] | None = None
        self._last_step = -1
        if world.rank == 0:
            for torn in folder.glob(".step-*.writing"):
                shutil.rmtree(torn)
        world.wait()

    def is_due(self, step: int, *, since: int) -> bool:
        """Whether this many steps call for a checkpoint, or some after `since` did, when none was made: those steps struck."""
        every, also = self._config.every_steps, self._config.keep_every_steps
        return step // every > since // every or (also > 0 and step // also > since // also)

    def save(self, state: TrainState) -> float:
        """Begin to write a checkpoint, unless this step's is there; the seconds that training stood still for it."""
        if state.num_steps_done == self._last_step:
            return 0.0
        began = time.perf_counter()
        self.wait()
        name = f"step-{state.num_steps_done:08d}"
        staged, facts = self._stager.stage({**state.tensors()}), state.facts()
        assert isinstance(staged, dict), staged
        self._last_step = state.num_steps_done
        self._under_way = self._thread.submit(self._write, staged, facts, name)
        return time.perf_counter() - began

    def wait(self) -> None:
        """Until the checkpoint under way lies in its place.

        Raises:
            OSError: it could not be written.
        """
        under_way, self._under_way = self._under_way, None
        if under_way is None:
            return
        try:
            under_way.result()
        except CheckpointException as error:                         # what went wrong with each worker, and no Exception
            cause, _ = next(iter(error.failures.values()))
            raise (cause if isinstance(cause, OSError) else OSError(f"the checkpoint could not be written: {cause}")) from error

    def close(self) -> None:
        """Wait, and take no more."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()
            if self._group is not None:
                dist.destroy_process_group(self._group)

    def restore(self, state: TrainState) -> Restored | None:
        """Take up the newest undamaged checkpoint; None when there is none, with training as it was."""
        name, passed_over = self._agreed()
        for damage in passed_over:
            logger.warning("checkpoint passed over", extra={"checkpoint": damage.name, "problem": damage.problem})
        if name is None:
            return None
        tensors = state.tensors()
        with _one_process():
            load({**tensors}, checkpoint_id=self._folder / name, process_group=self._group, no_dist=self._group is None)
        manifest = json.loads((self._folder / name / _MANIFEST).read_text())
        state.take_up(tensors, Facts.model_validate(manifest["facts"]))
        self._last_step = state.num_steps_done
        return Restored(state.num_steps_done, passed_over)

    def _write(self, staged: dict[str, object], facts: Facts, name: str) -> None:
        beside = self._folder / f".{name}.writing"
        with _one_process():
            save(staged, checkpoint_id=beside, process_group=self._group, no_dist=self._group is None)
        self._note_digests(beside)
        if self._group is not None:
            dist.barrier(self._group)
        if self._world.rank == 0:
            self._put_in_place(name, beside, facts)
        if self._group is not None:
            dist.barrier(self._group)

    def _note_digests(self, beside: Path) -> None:
        mine = sorted(beside.glob(f"__{self._world.rank}_*.distcp"))
        mine += [beside / ".metadata"] if self._world.rank == 0 else []
        digests = {path.name: _sha256(path) for path in mine}
        (beside / f"digests-{self._world.rank}.json").write_text(json.dumps(digests))

    def _put_in_place(self, name: str, beside: Path, facts: Facts) -> None:
        parts = sorted(beside.glob("digests-*.json"))
        files = {name: digest for part in parts for name, digest in json.loads(part.read_text()).items()}
        for part in parts:
            part.unlink()
        manifest = {"format_version": FORMAT_VERSION, "facts": facts.model_dump(mode="json"), "files": files}
        _write_through(beside / _MANIFEST, json.dumps({**manifest, "digest": _digest(manifest)}, indent=2))
        place = self._folder / name
        shutil.rmtree(place, ignore_errors=True)
        beside.rename(place)
        _sync(self._folder)
        self._drop_others(_step_of(place))

    def _drop_others(self, step: int) -> None:
        """Old ones, and those of later steps: they are damaged, or the run would have gone on from them."""
        for later in _places(self._folder):
            if _step_of(later) > step:
                shutil.rmtree(later)
        lasting = _lasting(_places(self._folder), self._config.keep_every_steps)
        passing = [place for place in _places(self._folder) if place not in lasting]
        for old in passing[: -self._config.keep]:
            shutil.rmtree(old)

    def _agreed(self) -> tuple[str | None, tuple[Damage, ...]]:
        """The first worker looks, all do as it says."""
        found: list[object] = [newest(self._folder) if self._world.rank == 0 else None]
        if self._group is not None:
            dist.broadcast_object_list(found, src=0, group=self._group)
        (said,) = found
        assert isinstance(said, tuple), said
        return said


def _write_through(path: Path, text: str) -> None:
    """Write to the disk, not to its cache; torch does so with the tensors."""
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make the names in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def newest(folder: Path) -> tuple[str | None, tuple[Damage, ...]]:
    """Name of the newest undamaged checkpoint, None when there is none, and the newer ones that are damaged."""
    passed_over: list[Damage] = []
    for place in reversed(_places(folder)):
        problem = _damage(place)
        if problem is None:
            return place.name, tuple(passed_over)
        passed_over.append(Damage(place.name, problem))
    return None, tuple(passed_over)


def _places(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), key=_step_of)


def _step_of(place: Path) -> int:
    return int(place.name.removeprefix("step-"))


def _lasting(places: list[Path], every: int) -> set[Path]:
    """The first of them at or after every multiple of so many steps; none when it is 0."""
    steps = [0, *map(_step_of, places)]
    pairs = zip(places, steps[:-1], steps[1:], strict=True)
    return {place for place, before, step in pairs if every and step // every > before // every}


def _damage(place: Path) -> str | None:
    manifest_path = place / _MANIFEST
    if not manifest_path.is_file():
        return "no manifest"
    try:
        manifest = json.loads(manifest_path.read_text())
        version, digest = manifest.pop("format_version"), manifest.pop("digest")
    except (ValueError, KeyError, TypeError, AttributeError):
        return "its manifest cannot be read"
    if version != FORMAT_VERSION:
        return f"format version {version}, expected {FORMAT_VERSION}"
    if _digest({"format_version": version, **manifest}) != digest:
        return "its manifest is damaged"
    for name, digest in manifest["files"].items():
        path = place / name
        if not path.is_file() or _sha256(path) != digest:
            return f"{name} is missing or damaged"
    return None


@contextmanager
def _one_process() -> Iterator[None]:
    """Torch 2.13 warns that it assumes a single process even when told so by `no_dist`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        yield


def _digest(manifest: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
