"""Shards of a table, and who works on them: this process, one after the other, or tasks of Ray Data on any number of nodes."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

if TYPE_CHECKING:
    from ray import ObjectRef

Found = TypeVar("Found")


@runtime_checkable
class Shard(Protocol):
    """Consecutive rows of a table. Small and picklable; reads anew whenever it is asked."""

    @property
    def num_rows(self) -> int:
        """Rows of the shard."""
        ...

    def rows(self, columns: Sequence[str]) -> pa.Table:
        """These columns of all rows, always in the same order."""
        ...

    def features(self, rows: Int64[np.ndarray, "b"]) -> np.ndarray:
        """Features of some rows, by their places in the shard."""
        ...


@runtime_checkable
class Each(Protocol):
    """Who calls functions for shards."""

    def __call__(self, call: Callable[[Shard, int], Found], shards: Sequence[Shard], /) -> Iterator[Found]:
        """Call with every shard and the number of its first row; gives what that gave, in the order of the shards.

        `call` must not depend on anything but its arguments and what it has captured: it may be called again.
        """
        ...


def in_turn(call: Callable[[Shard, int], Found], shards: Sequence[Shard], /) -> Iterator[Found]:
    """One shard after the other, in this process."""
    for shard, first in zip(shards, first_rows(shards), strict=True):
        yield call(shard, first)


def on_ray(call: Callable[[Shard, int], Found], shards: Sequence[Shard], /) -> Iterator[Found]:
    """Every shard a task of Ray Data; a task whose worker or node dies is run again elsewhere."""
    import ray.data

    places = pa.table({"place": pa.array(range(len(shards)), pa.int64())})
    dataset = ray.data.from_arrow([places.slice(place, 1) for place in range(len(shards))])
    dataset.context.execution_options.preserve_order = True
    captured = {"call": ray.put(call), "shards": ray.put(list(shards)), "firsts": first_rows(shards)}
    work = cast("Callable[[pa.Table], pa.Table]", _on_worker)
    whole = {"batch_format": "pyarrow", "batch_size": None}
    done = dataset.map_batches(work, fn_kwargs=captured, num_cpus=1, max_retries=-1, scheduling_strategy="SPREAD", **whole)
    for block in done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for packed in cast("pa.Table", block)["found"].to_pylist():
            yield pickle.loads(packed)  # noqa: S301  what our own workers have just made


def first_rows(shards: Sequence[Shard]) -> list[int]:
    """Number of the first row of every shard."""
    return np.append(0, np.cumsum([shard.num_rows for shard in shards]))[:-1].astype(int).tolist()


def _on_worker(block: pa.Table, call: "ObjectRef", shards: "ObjectRef", firsts: list[int]) -> pa.Table:
    import ray

    work, known = ray.get(call), ray.get(shards)        # references inside arguments arrive as references
    found = [pickle.dumps(work(known[place], firsts[place])) for place in block["place"].to_pylist()]
    return pa.table({"found": pa.array(found, pa.large_binary())})
