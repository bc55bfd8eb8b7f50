"""The one writer of Lance tables.

Two ways to change a table, both safe to break off at any moment and to run again:

* `append_rows`: rows that are not there yet, as new fragments. Workers fetch the pixels and write the fragment themselves.
* `fill_columns`: values for columns, fragment by fragment. A worker reads what it needs of a fragment, computes, and writes a
  column file beside it; other columns (the pixels above all) are never rewritten.

Workers hand back metadata only and the driver commits each fragment as it arrives, so a killed job loses at most the
fragments under way. A fragment is therefore the unit of work, and `append_rows` keeps fragments small enough. Files of a
fragment that was never committed are invisible. Chosen over merge-insert (rewrites whole rows) and over
`lance_ray.add_columns` (one commit at the very end, nothing to resume from).
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, cast

import lance
import numpy as np
import pyarrow as pa
from lance.commit import CommitConflictError
from lance.fragment import FragmentMetadata, write_fragments

from curation.tables import MissingTable, TableRef, open_table, stamped

logger = logging.getLogger(__name__)

BATCH_ROWS = 32
"""Rows read at once inside a worker: bounds the memory that encoded pictures take."""

CONFLICT_ROUNDS = 3
"""How often fragments that another writer changed meanwhile are computed again before giving up."""


class Fill(Protocol):
    """Computes columns for a batch of rows, in order. Built inside the worker; holds the model if there is one."""

    def __call__(self, rows: pa.Table, /) -> pa.Table:
        """Values of the columns, a row for each of `rows`; whole rows, possibly fewer, when they are to be appended."""
        ...


class Pending(NamedTuple):
    """Rows of one fragment that are still to be filled in."""

    fragment_id: int
    row_ids: tuple[int, ...]


class Actors(NamedTuple):
    """Workers that keep what `build` made from one fragment to the next: for work that needs a model."""

    num: int


class Tasks(NamedTuple):
    """Workers that build anew for every fragment, in processes Ray has already: for work that costs nothing to set up."""

    num: int


Workers = Actors | Tasks
"""How the fragments are worked on, at most `num` at a time; each counts as one logical CPU."""


class _Report(NamedTuple):
    """What a worker wrote, for the driver to commit."""

    fragments: list[FragmentMetadata]
    fields: list[int]
    num_rows: int


_WHOLE_BLOCKS = {"batch_format": "pyarrow", "batch_size": None, "zero_copy_batch": True}

OnCommit = Callable[[int], None]
"""Told the number of rows after each commit."""


def version_of(ref: TableRef) -> int:
    """The version of a reference that one of these functions returned; those always have one."""
    assert ref.version is not None, ref
    return ref.version


def create(uri: str, schema: pa.Schema) -> TableRef:
    """The table at `uri`, made empty when nothing is there yet.

    Raises:
        MissingTable: what is there lacks columns of `schema`, so it is another kind of table.
    """
    try:
        dataset = lance.dataset(uri)
    except ValueError:
        dataset = lance.write_dataset(stamped(schema).empty_table(), uri, schema=stamped(schema), mode="create")
    lacking = sorted(set(schema.names) - set(dataset.schema.names))
    if lacking:
        raise MissingTable(f"table {uri} has no column {lacking[0]!r}, so it is not one this job writes to; give another uri")
    return TableRef(uri=uri, version=dataset.version)


def ids_in(uri: str) -> frozenset[str]:
    """Ids of all rows of the newest version."""
    return frozenset(lance.dataset(uri).to_table(columns=["id"])["id"].to_pylist())


def append_rows(
    uri: str, schema: pa.Schema, chunks: Sequence[pa.Table], *, build: Callable[[], Fill], workers: Workers, on_commit: OnCommit
) -> TableRef:
    """Append one fragment a chunk, in the order of the chunks.

    Args:
        uri: table made by `create`.
        schema: columns that are written; the table may have more.
        chunks: descriptions of rows that are not in the table yet. `build()` turns them into rows of `schema` in the workers,
            so nothing heavy passes through the driver; it may leave rows out.
        on_commit: told how many rows of the chunks are done.
    """
    if chunks:
        arguments = {"uri": uri, "schema_ipc": _as_ipc(schema), "build": build}
        for report in _run(chunks, _FragmentWriter, arguments, workers):
            if report.fragments:
                operation = lance.LanceOperation.Append(report.fragments)
                lance.LanceDataset.commit(uri, operation, read_version=lance.dataset(uri).version)
            on_commit(report.num_rows)
    return TableRef(uri=uri, version=lance.dataset(uri).version)


def append_table(uri: str, rows: pa.Table) -> TableRef:
    """Append metadata rows from the driver, leaving out those whose id is there already. For rows without pixels only."""
    present = ids_in(uri)
    fresh = rows.filter(pa.array([row_id not in present for row_id in rows["id"].to_pylist()], pa.bool_()))
    if fresh.num_rows:
        lance.write_dataset(fresh, uri, mode="append")
    return TableRef(uri=uri, version=lance.dataset(uri).version)


def write_selection(uri: str, rows: pa.Table) -> TableRef:
    """Write a selection (or any table named by its content's digest) at once; the one that is there is left as it is."""
    try:
        return TableRef(uri=uri, version=lance.dataset(uri).version)
    except ValueError:
        dataset = lance.write_dataset(rows.cast(stamped(rows.schema)), uri, mode="create")
        return TableRef(uri=uri, version=dataset.version)


def add_columns(ref: TableRef, schema: pa.Schema) -> TableRef:
    """Make sure the table has the columns; new ones are null everywhere, which costs no rewrite."""
    dataset = lance.dataset(open_table(ref).uri)
    lacking = [field for field in schema if field.name not in dataset.schema.names]
    if lacking:
        dataset.add_columns(pa.schema(lacking))
    return TableRef(uri=ref.uri, version=lance.dataset(ref.uri).version)


def require_columns(ref: TableRef, schema: pa.Schema, *, job: str) -> None:
    """Refuse a table that `job` has not filled yet.

    Raises:
        MissingTable: names the column and the job.
    """
    lacking = [name for name in schema.names if name not in open_table(ref).schema.names]
    if lacking:
        raise MissingTable(f"table {ref.uri} at version {ref.version} has no column {lacking[0]!r}; run `seedbed {job}` first")


def rows_of(ref: TableRef, columns: Sequence[str], *, where: str | None = None) -> pa.Table:
    """The rows of the referenced version, with values as the newest version has them, `_rowid` and `_rowaddr`.

    A job names its rows by the version it was given, however often it was broken off and however far the columns have got since.

    Args:
        where: Lance filter over the newest version, for example ``caption_version IS NULL``.

    Raises:
        MissingTable: fragments of that version are gone, since the table was compacted or written anew.
    """
    wanted = {fragment.fragment_id for fragment in open_table(ref).get_fragments()}
    dataset = lance.dataset(ref.uri)
    fragments = [fragment for fragment in dataset.get_fragments() if fragment.fragment_id in wanted]
    if len(fragments) != len(wanted):
        raise MissingTable(f"table {ref.uri} was rewritten after version {ref.version}; give the newest version")
    scanner = dataset.scanner(columns=list(columns), filter=where, fragments=fragments, with_row_id=True, with_row_address=True)
    return scanner.to_table()


def pending(ref: TableRef, todo: str, *, among: frozenset[str] | None = None) -> list[Pending]:
    """Rows of the referenced version that are still to be filled in, by fragment.

    Args:
        todo: filter that tells them, as in `rows_of`.
        among: ids to which the work is limited; None for all rows.
    """
    found = rows_of(ref, [] if among is None else ["id"], where=todo)
    if among is not None:
        found = found.filter(pa.array([row_id in among for row_id in found["id"].to_pylist()], pa.bool_()))
    row_ids, fragment_ids = found["_rowid"].to_numpy(), found["_rowaddr"].to_numpy() >> np.uint64(32)
    return [Pending(one, tuple(row_ids[fragment_ids == one].tolist())) for one in np.unique(fragment_ids).tolist()]


def fill_columns(
    ref: TableRef, schema: pa.Schema, *, read: Sequence[str], find: Callable[[], list[Pending]], build: Callable[[], Fill],
    workers: Workers, on_commit: OnCommit,
) -> TableRef:  # fmt: skip
    """Fill in the columns of `schema` for the rows that `find` names, committing each fragment as it arrives.

    Args:
        read: columns that `build()` is given.
        find: names what is to do; asked again when another writer changed a fragment meanwhile.
        on_commit: told how many rows are done.
    """
    for _ in range(CONFLICT_ROUNDS):
        work = find()
        if not work:
            return TableRef(uri=ref.uri, version=lance.dataset(ref.uri).version)
        base = TableRef(uri=ref.uri, version=lance.dataset(ref.uri).version)
        arguments = {"ref": base, "schema_ipc": _as_ipc(schema), "read": list(read), "build": build}
        for report in _run([_as_block(one) for one in work], _ColumnFiller, arguments, workers):
            if _update(base, report):
                on_commit(report.num_rows)
    left = sum(len(one.row_ids) for one in find())
    assert not left, f"{left} rows of {ref.uri} to do after {CONFLICT_ROUNDS} rounds: does another job write the same columns?"
    return TableRef(uri=ref.uri, version=lance.dataset(ref.uri).version)


def set_columns(ref: TableRef, values: pa.Table) -> TableRef:
    """Set small columns from the driver, in one commit.

    Args:
        ref: the version from which `values` was read.
        values: the columns to set, with `_rowid` and `_rowaddr` as `rows_of` gives them.
    """
    if not values.num_rows:
        return ref
    dataset = open_table(ref)
    fragment_ids = values["_rowaddr"].to_numpy() >> np.uint64(32)
    updated, fields = [], []
    for fragment_id in np.unique(fragment_ids).tolist():
        part = values.filter(pa.array(fragment_ids == fragment_id)).drop_columns(["_rowaddr"])
        metadata, fields = _fragment(dataset, fragment_id).update_columns(part)
        updated.append(metadata)
    operation = lance.LanceOperation.Update(updated_fragments=updated, fields_modified=fields)
    return TableRef(uri=ref.uri, version=lance.LanceDataset.commit(ref.uri, operation, read_version=ref.version).version)


def _update(base: TableRef, report: _Report) -> bool:
    """Commit a column file; False when another writer changed the fragment since `base`."""
    operation = lance.LanceOperation.Update(updated_fragments=report.fragments, fields_modified=report.fields)
    try:
        lance.LanceDataset.commit(base.uri, operation, read_version=base.version)
    except CommitConflictError:
        logger.warning("a fragment was changed by another writer, it is computed again", extra={"table": base.uri})
        return False
    return True


class _FragmentWriter:
    """Actor: builds rows from a chunk of descriptions and writes them as one fragment."""

    def __init__(self, uri: str, schema_ipc: bytes, build: Callable[[], Fill]) -> None:
        self._uri = uri
        self._schema = pa.ipc.read_schema(pa.py_buffer(schema_ipc))
        self._fill = build()

    def __call__(self, described: pa.Table) -> pa.Table:
        rows = self._fill(described).select(self._schema.names).cast(self._schema)
        fragments = write_fragments(rows, self._uri, schema=self._schema, mode="append") if rows.num_rows else []
        return _as_report(fragments, [], num_rows=described.num_rows)


class _ColumnFiller:
    """Actor: computes columns for rows of one fragment and writes them as a column file."""

    def __init__(self, ref: TableRef, schema_ipc: bytes, read: list[str], build: Callable[[], Fill]) -> None:
        self._dataset = open_table(ref)
        self._schema = pa.ipc.read_schema(pa.py_buffer(schema_ipc))
        self._read = read
        self._fill = build()

    def __call__(self, work: pa.Table) -> pa.Table:
        (one,) = work.to_pylist()
        fragment = _fragment(self._dataset, one["fragment_id"])
        values = pa.concat_tables([self._filled(batch) for batch in self._batches(fragment, one["row_ids"])])
        assert values.num_rows == len(one["row_ids"]), (values.num_rows, len(one["row_ids"]))
        metadata, fields = fragment.update_columns(values)
        return _as_report([metadata], list(fields), num_rows=values.num_rows)

    def _batches(self, fragment: lance.LanceFragment, row_ids: Sequence[int]) -> Iterator[pa.RecordBatch]:
        wanted = f"_rowid IN ({','.join(map(str, row_ids))})"
        scanner = self._dataset.scanner(
            columns=self._read, fragments=[fragment], filter=wanted, with_row_id=True, batch_size=BATCH_ROWS
        )
        return iter(scanner.to_batches())

    def _filled(self, batch: pa.RecordBatch) -> pa.Table:
        rows = pa.Table.from_batches([batch])
        columns = self._fill(rows.drop_columns(["_rowid"])).select(self._schema.names).cast(self._schema)
        return columns.append_column("_rowid", rows["_rowid"])


_Worker = type[_FragmentWriter] | type[_ColumnFiller]
_BatchFunction = Callable[[pa.Table], pa.Table]


def _run(blocks: Sequence[pa.Table], worker: _Worker, arguments: Mapping[str, object], workers: Workers) -> Iterator[_Report]:
    """Stream blocks through Ray Data, in order; yields what was written for each of them.

    A pool of actors starts as large as asked for, but one actor is enough to go on: a cluster with a single free CPU only
    takes longer. An actor is given two blocks at a time, the least that Ray Data takes; with more, one would sit on them
    while another is idle.
    """
    import ray.data

    num_workers = max(1, min(workers.num, len(blocks)))
    dataset = ray.data.from_arrow(list(blocks))
    dataset.context.execution_options.preserve_order = True
    if isinstance(workers, Actors):
        pool = ray.data.ActorPoolStrategy(
            min_size=1, max_size=num_workers, initial_size=num_workers, max_tasks_in_flight_per_actor=2
        )
        written = dataset.map_batches(worker, fn_constructor_kwargs=dict(arguments), compute=pool, num_cpus=1, **_WHOLE_BLOCKS)
    else:
        pool = ray.data.TaskPoolStrategy(size=num_workers)
        call, work = {"worker": worker, "arguments": dict(arguments)}, cast("_BatchFunction", _work_once)
        written = dataset.map_batches(work, fn_kwargs=call, compute=pool, num_cpus=1, **_WHOLE_BLOCKS)
    for block in written.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for line in cast(pa.Table, block).to_pylist():
            yield _Report([FragmentMetadata.from_json(text) for text in line["fragments"]], line["fields"], line["num_rows"])


def _work_once(block: pa.Table, worker: _Worker, arguments: Mapping[str, object]) -> pa.Table:
    """A task: set up, work on one block, forget."""
    return worker(**arguments)(block)  # pyright: ignore[reportArgumentType] - the arguments belong to the class beside them


def _as_report(fragments: Sequence[FragmentMetadata], fields: Sequence[int], *, num_rows: int) -> pa.Table:
    texts = [json.dumps(fragment.to_json()) for fragment in fragments]
    columns = {
        "fragments": pa.array([texts], pa.list_(pa.string())),
        "fields": pa.array([fields], pa.list_(pa.int32())),
        "num_rows": pa.array([num_rows], pa.int64()),
    }
    return pa.table(columns)


def _as_block(work: Pending) -> pa.Table:
    return pa.table({"fragment_id": [work.fragment_id], "row_ids": pa.array([work.row_ids], pa.list_(pa.int64()))})


def _fragment(dataset: lance.LanceDataset, fragment_id: int) -> lance.LanceFragment:
    fragment = dataset.get_fragment(fragment_id)
    assert fragment is not None, (dataset.uri, dataset.version, fragment_id)
    return fragment


def _as_ipc(schema: pa.Schema) -> bytes:
    return schema.serialize().to_pybytes()
