"""The one writer of Lance tables.

Three ways to fill a table, all safe to break off at any moment and to run again:

* `append_rows`: rows that are not there yet, as new fragments. Workers fetch the pixels and write the fragment themselves.
* `ColumnFile` and `replace_columns`: values of columns for a whole fragment, as a file beside it; other columns (the pixels above
  all) are never rewritten. `curation.backfill` decides what goes into such files.
* `set_columns`: a few small values from the driver.

And one way to take rows away for good: `erase_rows`, which leaves nothing of them in any file, version or tag.

Indexes (`index_texts`, `index_vectors`, `extend_indexes`) are built here as well; `curation.retrieval` says which and when.

Workers hand back metadata only and the driver commits as it arrives, so a killed job loses at most what was under way. Column
files are committed by Lance's data replacement, which goes together with appends, deletes and replacements of other columns made
meanwhile. Chosen over merge-insert (rewrites whole rows), over column merges (any append in between makes them start again) and
over `lance_ray.add_columns` (one commit at the very end, nothing to resume from).
"""

import json
import logging
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol

import lance
import numpy as np
import pyarrow as pa
from lance.commit import CommitConflictError
from lance.file import LanceFileWriter
from lance.fragment import DataFile, FragmentMetadata, write_fragments

from curation.tables import SUPERSEDED_BY, MissingTable, TableRef, open_table, stamped
from curation.workers import Workers, stream
from infra.errors import UserError

logger = logging.getLogger(__name__)

BATCH_ROWS = 32
"""Rows made at once inside a worker: bounds the memory that encoded pictures take."""


class Fill(Protocol):
    """Makes whole rows from descriptions of them. Built inside the worker; holds the model if there is one."""

    def __call__(self, described: pa.Table, /) -> pa.Table:
        """Rows to append, at most one for each of `described`."""
        ...


class Replacement(NamedTuple):
    """A column file that waits to be committed."""

    fragment_id: int
    file: str
    """JSON of the file's metadata."""


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
        seen = f"table {uri} has no column {lacking[0]!r}"
        raise MissingTable(f"{seen}, so it is of an older release or not one this job writes to; give another uri")
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
        for report in stream(chunks, _FragmentWriter, arguments, workers):
            fragments = [FragmentMetadata.from_json(text) for text in report["fragments"]]
            if fragments:
                operation = lance.LanceOperation.Append(fragments)
                lance.LanceDataset.commit(uri, operation, read_version=lance.dataset(uri).version)
            on_commit(report["num_rows"])
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


def write_successor(uri: str, rows: pa.Table, *, notes: Mapping[str, str]) -> TableRef:
    """Write what remains of a selection, with notes on what it lacks in the schema's metadata; in place of an unfinished one."""
    metadata = {**(stamped(rows.schema).metadata or {}), **{key.encode(): text.encode() for key, text in notes.items()}}
    dataset = lance.write_dataset(rows.replace_schema_metadata(metadata), uri, mode="overwrite")
    return TableRef(uri=uri, version=dataset.version)


def supersede(uri: str, successor: str) -> None:
    """Empty a selection for good, versions and tags included; whoever opens it is told the successor."""
    schema = lance.dataset(uri).schema
    metadata = {**(stamped(schema).metadata or {}), SUPERSEDED_BY: successor.encode()}
    closed = schema.with_metadata(metadata)
    lance.write_dataset(closed.empty_table(), uri, schema=closed, mode="overwrite")
    _forget_old_versions(uri)


def erase_rows(uri: str, ids: Collection[str]) -> None:
    """Delete rows together with their bytes: all files, older versions and tags that may hold them.

    May be broken off and repeated. Nobody else may write to the table meanwhile: files that are not committed yet are removed.
    Fragments are written anew only where rows were deleted, up to the size of the largest one there is. Indexes hold words and
    vectors of rows, so all of them go; the next search builds them again.
    """
    dataset, wanted = lance.dataset(uri), sorted(ids)
    for index in dataset.describe_indices():
        dataset.drop_index(index.name)
    for start in range(0, len(wanted), _IDS_AT_ONCE):
        where = "id IN (" + ", ".join("'" + one.replace("'", "''") + "'" for one in wanted[start : start + _IDS_AT_ONCE]) + ")"
        if dataset.count_rows(where):
            dataset.delete(where)
    largest = max((fragment.physical_rows for fragment in dataset.get_fragments()), default=1)
    dataset.optimize.compact_files(
        target_rows_per_fragment=largest, materialize_deletions=True, materialize_deletions_threshold=0.0
    )
    _forget_old_versions(uri)


_IDS_AT_ONCE = 500


def _forget_old_versions(uri: str) -> None:
    """Remove all versions but the newest, tags of them, and every file that the newest does not name."""
    dataset = lance.dataset(uri)
    for name, tag in dataset.tags.list().items():
        if tag["version"] < dataset.version:
            logger.warning("tag dropped with its version", extra={"table": uri, "tag": name, "version": tag["version"]})
            dataset.tags.delete(name)
    dataset.cleanup_old_versions(older_than=timedelta(0), delete_unverified=True)


class ColumnFile:
    """A file with some columns of one fragment, written part by part beside the table's others."""

    def __init__(self, dataset: lance.LanceDataset, schema: pa.Schema, *, announce: Callable[[str], None]) -> None:
        """`announce` is told the file's name before it is there, so that it can be found again if it is never committed."""
        self._dataset, self._schema = dataset, schema
        self._name, self._num_rows = f"{uuid.uuid4().hex}.lance", 0
        announce(self._name)
        self._writer = LanceFileWriter(column_file_path(dataset.uri, self._name), schema, version=dataset.data_storage_version)

    def __enter__(self) -> "ColumnFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, rows: pa.Table) -> None:
        """Append rows; a fragment's deleted rows need values too, whatever they are."""
        self._num_rows += rows.num_rows
        for batch in rows.to_batches():
            self._writer.write_batch(batch)

    def replacement(self, fragment_id: int) -> Replacement:
        """The closed file, as the new values of the fragment."""
        expected = _fragment(self._dataset, fragment_id).physical_rows
        assert self._num_rows == expected, (self._num_rows, expected)  # Lance would commit it, and fail to read it
        file = DataFile.create(self._dataset, self._name)
        return Replacement(fragment_id, json.dumps({name: getattr(file, name) for name in _FILE_FIELDS}))


_FILE_FIELDS = ("path", "fields", "column_indices", "file_major_version", "file_minor_version", "file_size_bytes")


def column_file_path(table_uri: str, name: str) -> str:
    """Where a column file of a table lies."""
    base, _, query = table_uri.partition("?")
    return f"{base.rstrip('/')}/data/{name}" + (f"?{query}" if query else "")


def replace_columns(uri: str, replacements: Sequence[Replacement], *, read_version: int) -> bool:
    """Commit column files, all or none; False when another job wrote one of these columns there since `read_version`."""
    groups = [
        lance.LanceOperation.DataReplacementGroup(one.fragment_id, DataFile(**json.loads(one.file))) for one in replacements
    ]
    try:
        lance.LanceDataset.commit(uri, lance.LanceOperation.DataReplacement(groups), read_version=read_version)
    except CommitConflictError:
        logger.warning("columns were written by another job meanwhile", extra={"table": uri})
        return False
    return True


def add_columns(ref: TableRef, schema: pa.Schema, *, may_begin_anew: bool = True) -> TableRef:
    """Make sure the table has columns that are filled together; new ones are null everywhere, which costs no rewrite.

    Lance replaces the files of such columns as a whole. So where some of them are there and others are not, or are of another
    type, an earlier release filled them: they are dropped and all begin anew. Older versions of the table keep the old values.

    Args:
        may_begin_anew: False for a job that fills some of the rows only, which would leave the others without values.

    Raises:
        UserError: columns would have to begin anew and may not.
    """
    dataset = lance.dataset(open_table(ref).uri)
    there = [name for name in schema.names if name in dataset.schema.names]
    if not all(name in there and dataset.schema.field(name).type == schema.field(name).type for name in schema.names):
        if there and not may_begin_anew:
            known = f"columns {', '.join(there)} of {ref.uri} are of an earlier release"
            raise UserError(f"{known}, and this job fills some of the rows only; run the job that fills all of them first")
        if there:
            logger.warning("columns of an earlier release begin anew", extra={"table": ref.uri, "columns": there})
            dataset.drop_columns(there)
        dataset.add_columns(pa.schema(list(schema)))
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
    return _rows_scanner(ref, columns, where=where).to_table()


def batches_of(ref: TableRef, columns: Sequence[str], *, where: str | None = None) -> Iterator[pa.Table]:
    """The same rows as `rows_of` gives, a batch after the other."""
    for batch in _rows_scanner(ref, columns, where=where).to_batches():
        yield pa.Table.from_batches([batch])


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


def index_texts(uri: str, column: str, tokenizer: Mapping[str, str | int | bool]) -> None:
    """Build, or build anew, a full-text index (BM25) of a column of strings or lists of strings."""
    index = lance.dataset(uri).create_scalar_index
    index(column, "INVERTED", replace=True, **tokenizer)  # pyright: ignore[reportArgumentType]  all of it is for the tokenizer


def index_vectors(uri: str, column: str, *, kind: str, num_partitions: int, num_sub_vectors: int | None) -> None:
    """Build, or build anew, an index of a vector column for cosine distances; `kind` is IVF_FLAT or IVF_PQ."""
    lance.dataset(uri).create_index(
        column, kind, metric="cosine", num_partitions=num_partitions, num_sub_vectors=num_sub_vectors, replace=True
    )


def extend_indexes(uri: str, names: Sequence[str]) -> None:
    """Take rows that came, or whose values changed, since an index was built into it; nothing is trained anew."""
    if names:
        lance.dataset(uri).optimize.optimize_indices(index_names=list(names))


def _rows_scanner(ref: TableRef, columns: Sequence[str], *, where: str | None) -> lance.LanceScanner:
    wanted = {fragment.fragment_id for fragment in open_table(ref).get_fragments()}
    dataset = lance.dataset(ref.uri)
    fragments = [fragment for fragment in dataset.get_fragments() if fragment.fragment_id in wanted]
    if len(fragments) != len(wanted):
        raise MissingTable(f"table {ref.uri} was rewritten after version {ref.version}; give the newest version")
    return dataset.scanner(columns=list(columns), filter=where, fragments=fragments, with_row_id=True, with_row_address=True)


class _FragmentWriter:
    """Actor: builds rows from a chunk of descriptions and writes them as one fragment."""

    def __init__(self, uri: str, schema_ipc: bytes, build: Callable[[], Fill]) -> None:
        self._uri = uri
        self._schema = pa.ipc.read_schema(pa.py_buffer(schema_ipc))
        self._fill = build()

    def __call__(self, described: pa.Table) -> pa.Table:
        rows = self._fill(described).select(self._schema.names).cast(self._schema)
        fragments = write_fragments(rows, self._uri, schema=self._schema, mode="append") if rows.num_rows else []
        texts = [json.dumps(fragment.to_json()) for fragment in fragments]
        return pa.table({"fragments": pa.array([texts], pa.list_(pa.string())), "num_rows": [described.num_rows]})


def _fragment(dataset: lance.LanceDataset, fragment_id: int) -> lance.LanceFragment:
    fragment = dataset.get_fragment(fragment_id)
    assert fragment is not None, (dataset.uri, dataset.version, fragment_id)
    return fragment


def _as_ipc(schema: pa.Schema) -> bytes:
    return schema.serialize().to_pybytes()
