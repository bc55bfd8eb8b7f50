"""The shortest way through our code from files to measurements: read, decode once, measure, append rows without pictures.

No job works like this: their pictures are copied into the table first, where nothing can change or remove them. It does what the
peers of the curation benchmark do, with the engine's decoder and signals in Ray Data's workers.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from curation import commit
from curation.decode import Scaled, Undecodable, decode_scaled
from curation.signals.contract import VIEW_SIDE_PX, Batch, Signal
from curation.sources import build
from curation.sources.folder import FolderConfig
from curation.tables import TableRef
from curation.workers import Actors

BATCH_FILES = 32
_LISTED = pa.schema([pa.field("id", pa.string()), pa.field("locator", pa.string()), pa.field("category", pa.string())])


def measured(source: FolderConfig, signals: Sequence[Signal], uri: str, *, rows_per_fragment: int, num_workers: int) -> TableRef:
    """Measure all files of a folder into a new table: what is listed of them, and each signal's columns; Ray must be up."""
    columns = pa.schema([*_LISTED, *(field for one in signals for field in one.schema)])
    files = build(source, cache_dir=Path(uri).parent)
    listed = pa.concat_tables([rows.select(_LISTED.names) for shard in files.shards() for rows in files.rows(shard.name)])
    chunks = [listed.slice(start, rows_per_fragment) for start in range(0, listed.num_rows, rows_per_fragment)]
    commit.create(uri, columns)
    measuring = partial(_Measuring, source, tuple(signals), columns)
    return commit.append_rows(uri, columns, chunks, build=measuring, workers=Actors(num_workers), on_commit=lambda _: None)


class _Measuring:
    """Built in a worker."""

    def __init__(self, source: FolderConfig, signals: Sequence[Signal], columns: pa.Schema) -> None:
        self._source = build(source, cache_dir=Path(source.path))
        self._signals, self._columns = signals, columns
        self._computes = [one.build() for one in signals]

    def __call__(self, listed: pa.Table) -> pa.Table:
        runs = range(0, listed.num_rows, BATCH_FILES)
        return pa.concat_tables([part for start in runs for part in self._parts(listed.slice(start, BATCH_FILES))])

    def _parts(self, listed: pa.Table) -> list[pa.Table]:
        """The rows that could be measured, and those that could not."""
        files = self._source.read(listed["locator"].to_pylist())
        seen = [_decoded(file) if isinstance(file, bytes) else f"unreadable: {file.reason}" for file in files]
        is_good = [not isinstance(one, str) for one in seen]
        errors = pa.array([one for one in seen if isinstance(one, str)], pa.string())
        failed = listed.filter(pa.array([not good for good in is_good]))
        good = listed.filter(pa.array(is_good))
        images = pa.array([file for file, whole in zip(files, is_good, strict=True) if whole], pa.large_binary())
        batch = Batch(pa.table({"image": images}), [one for one in seen if not isinstance(one, str)])
        for signal, compute in zip(self._signals, self._computes, strict=True):
            failed = failed.append_column(signal.error_column, errors)
            for name, values in (compute(batch) if good.num_rows else {}).items():
                good = good.append_column(name, values)
        return [self._whole(good), self._whole(failed)]

    def _whole(self, rows: pa.Table) -> pa.Table:
        """With nulls in the columns that are missing."""
        filled = {name: rows[name] for name in rows.schema.names}
        nulls = {field.name: pa.nulls(rows.num_rows, field.type) for field in self._columns}
        return pa.table(nulls | filled).select(self._columns.names).cast(self._columns)


def _decoded(file: bytes) -> Scaled | str:
    try:
        return decode_scaled(file, VIEW_SIDE_PX)
    except Undecodable as error:
        return f"{error.reason}: {error}"
