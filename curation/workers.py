"""Blocks of work through Ray Data: in order, each to one worker at a time, and what came of it back to the driver."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, cast, runtime_checkable

import pyarrow as pa


class Actors(NamedTuple):
    """Workers that keep what they loaded from one block to the next: for work that needs a model."""

    num: int


class Tasks(NamedTuple):
    """Workers that begin anew with every block, in processes Ray has already: for work that costs nothing to set up."""

    num: int


Workers = Actors | Tasks
"""How blocks are worked on, at most `num` at a time; each counts as one logical CPU."""


@runtime_checkable
class Worker(Protocol):
    """Works on blocks; set up with keyword arguments."""

    def __call__(self, block: pa.Table, /) -> pa.Table:
        """What came of a block: metadata only, one line or none."""
        ...


_WHOLE_BLOCKS = {"batch_format": "pyarrow", "batch_size": None, "zero_copy_batch": True}


def stream(
    blocks: Sequence[pa.Table], worker: type[Worker], arguments: Mapping[str, object], workers: Workers
) -> Iterator[dict]:
    """The lines that come back, in the order of the blocks.

    A pool of actors starts as large as asked for, but one actor is enough to go on: a cluster with a single free CPU only
    takes longer. An actor is given two blocks at a time, the least that Ray Data takes; with more, one would sit on them
    while another is idle. An actor that dies is started again and given its block again.
    """
    import ray.data

    num_workers = max(1, min(workers.num, len(blocks)))
    dataset = ray.data.from_arrow(list(blocks))
    dataset.context.execution_options.preserve_order = True
    if isinstance(workers, Actors):
        pool = ray.data.ActorPoolStrategy(
            min_size=1, max_size=num_workers, initial_size=num_workers, max_tasks_in_flight_per_actor=2
        )
        done = dataset.map_batches(worker, fn_constructor_kwargs=dict(arguments), compute=pool, num_cpus=1, **_WHOLE_BLOCKS)
    else:
        pool = ray.data.TaskPoolStrategy(size=num_workers)
        call = {"worker": worker, "arguments": dict(arguments)}
        done = dataset.map_batches(_work_once, fn_kwargs=call, compute=pool, num_cpus=1, **_WHOLE_BLOCKS)  # pyright: ignore[reportArgumentType]
    for block in done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from cast("pa.Table", block).to_pylist()


def _work_once(block: pa.Table, worker: type[Worker], arguments: Mapping[str, object]) -> pa.Table:
    """A task: set up, work on one block, forget."""
    return worker(**arguments)(block)  # pyright: ignore[reportCallIssue]  the arguments belong to the class beside them
