"""Rows fetched by actors of Ray Data, for one worker, in the order of its steps.

Each worker runs a pipeline of its own: numbers of steps, a few a block, go to a pool of actors, which know the agenda and send
back the decoded rows of those steps. What travels ahead of the actors is numbers only, whatever the length of the run, so one
execution lasts from the first step to the last. Rejected: `streaming_split`, which promises no order and cannot go on at a step;
descriptors made by the worker, which Ray Data would want all at once.

n values of a step
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
import ray
import ray.data
import torch
from ray.data import ActorPoolStrategy, ExecutionResources
from torch import Tensor

from curation.tables import TableRef
from infra.memory import keep_freed_memory
from train.agenda import Agenda, WorkerStep
from train.fetch import Fetched, RayDataConfig, Record, RowReader

_STEPS_AT_ONCE = 4096
"""Numbers of steps in one block before it is cut into those that actors get."""

_CUTTING_CPUS = 1
"""Logical CPUs of the task that cuts them."""

_SCHEMA = pa.schema(
    [
        pa.field("step", pa.int64()),
        pa.field("rows", pa.list_(pa.int64())),
        pa.field("shapes", pa.list_(pa.list_(pa.int32()))),
        pa.field("dtype", pa.string()),
        pa.field("values", pa.large_binary()),  # of all rows, end to end
        pa.field("undecodable", pa.list_(pa.struct([("row", pa.int64()), ("why", pa.string())]))),
        pa.field("empty", pa.list_(pa.int64())),
    ]
)


class NoRoom(ValueError):
    """The cluster has too few logical CPUs for the fetchers."""


class Errand(NamedTuple):
    """What a fetcher is told once."""

    ref: TableRef
    columns: tuple[str, ...]
    decode: Callable[[Record], Tensor]
    cache_bytes: int
    agenda: Agenda


class Fetcher:
    """An actor: fetches the rows of blocks of steps."""

    def __init__(self, errand: "ray.ObjectRef[Errand]") -> None:
        torch.set_num_threads(1)
        keep_freed_memory()
        told = ray.get(errand)
        self._agenda = told.agenda
        self._reader = RowReader(told.ref, told.columns, told.decode, cache_bytes=told.cache_bytes)

    def __call__(self, block: pa.Table) -> pa.Table:
        """A line a step."""
        return pa.concat_tables([self._line(step) for step in block["step"].to_pylist()])

    def _line(self, step: int) -> pa.Table:
        work = self._agenda.of(step)
        return line_of(step, self._reader.fetch(self._agenda.rows(work), latents=work.latents))


class FetchedRows:
    """Source of rows that Ray Data fetches."""

    def __init__(self, reader: RowReader, config: RayDataConfig) -> None:
        self.reader = reader
        self._config = config

    def steps(self, agenda: Agenda, steps: range) -> Generator[tuple[WorkerStep, Fetched], None, None]:
        """A worker's part of every step with the rows it needs, in order.

        Raises:
            NoRoom: Ray Data would wait for logical CPUs for ever.
        """
        require_room(self._config, num_workers=agenda.num_workers)
        lines = _lines(self._pipeline(agenda, steps))
        for step, (number, fetched) in zip(steps, lines, strict=True):
            assert number == step, (number, step)
            yield agenda.of(step), fetched

    def _pipeline(self, agenda: Agenda, steps: range) -> ray.data.Dataset:
        reader, config = self.reader, self._config
        errand = ray.put(Errand(reader.ref, reader.columns, reader.decode, config.cache_bytes, agenda))
        numbers = ray.data.from_arrow([_numbers(steps[at : at + _STEPS_AT_ONCE]) for at in range(0, len(steps), _STEPS_AT_ONCE)])
        options = numbers.context.execution_options
        options.preserve_order = True
        options.resource_limits = ExecutionResources(object_store_memory=config.ahead_bytes)
        return numbers.repartition(target_num_rows_per_block=config.steps_per_block).map_batches(
            Fetcher, fn_constructor_kwargs={"errand": errand}, num_cpus=config.cpus_per_fetcher,
            compute=ActorPoolStrategy(min_size=1, max_size=config.num_fetchers, initial_size=config.num_fetchers),
            batch_format="pyarrow", batch_size=None, zero_copy_batch=True,
        )  # fmt: skip


def require_room(config: RayDataConfig, *, num_workers: int) -> None:
    """Refuse to start what Ray Data would never finish: with too few logical CPUs it waits without a word.

    Raises:
        NoRoom: says how many there are and how many it takes.
    """
    context = ray.get_runtime_context()
    own = context.get_assigned_resources().get("CPU", 0.0) if context.get_actor_id() else 0.0
    each = own + config.num_fetchers * config.cpus_per_fetcher + _CUTTING_CPUS
    there = ray.cluster_resources().get("CPU", 0.0)
    if num_workers * each > there:
        raise NoRoom(
            f"{num_workers} workers take {num_workers * each:g} logical CPUs, Ray has {there:g}: each has {own:g} itself, "
            f"{config.num_fetchers} fetchers of {config.cpus_per_fetcher:g} and {_CUTTING_CPUS} to hand out steps; give Ray more "
            "(SEEDBED_LOGICAL_CPUS for a local one), or lower feed.rows.num_fetchers or feed.rows.cpus_per_fetcher"
        )


def line_of(step: int, fetched: Fetched) -> pa.Table:
    """What was fetched for a step, as one row of `_SCHEMA`."""
    arrays = [tensor.numpy() for tensor in fetched.decoded.values()]
    (dtype,) = {str(array.dtype) for array in arrays} or {""}
    values = pa.py_buffer(b"".join(np.ascontiguousarray(array).data.cast("B") for array in arrays))
    ends = pa.py_buffer(np.array([0, len(values)], dtype=np.int64))
    columns = [
        [step], [list(fetched.decoded)], [[list(array.shape) for array in arrays]], [dtype],
        pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, ends, values]),
        [[{"row": row, "why": why} for row, why in fetched.undecodable.items()]], [list(fetched.empty)],
    ]  # fmt: skip
    return pa.table([pa.array(c, f.type) if isinstance(c, list) else c for c, f in zip(columns, _SCHEMA, strict=True)], _SCHEMA)


def fetched_of(line: pa.Table) -> Fetched:
    """What `line_of` was given."""
    shapes = line["shapes"][0].as_py()
    decoded: Sequence[Tensor] = ()
    if shapes:
        values = np.frombuffer(line["values"][0].as_buffer(), dtype=line["dtype"][0].as_py()).copy()  # frees the object store
        sizes = [int(np.prod(shape)) for shape in shapes]
        decoded = [part.view(shape) for part, shape in zip(torch.from_numpy(values).split(sizes), shapes, strict=True)]
    return Fetched(
        dict(zip(line["rows"][0].as_py(), decoded, strict=True)),
        {one["row"]: one["why"] for one in line["undecodable"][0].as_py()}, tuple(line["empty"][0].as_py()),
    )  # fmt: skip


def _lines(dataset: ray.data.Dataset) -> Iterator[tuple[int, Fetched]]:
    for block in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
        table = cast("pa.Table", block)
        for number, step in enumerate(table["step"].to_pylist()):
            yield step, fetched_of(table.slice(number, 1))


def _numbers(steps: range) -> pa.Table:
    return pa.table({"step": pa.array(steps, pa.int64())})
