"""Two worker processes and a Lance table: what our legs have instead of a cluster."""

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import pyarrow as pa

from curation import commit

NUM_WORKERS = 2
COMMIT_ROWS = 512
"""Rows that are committed at once."""


def spread(work: partial[pa.Table], values: Sequence[str], *, size: int) -> Iterator[pa.Table]:
    """The tables that `work` makes of runs of `size` values, as workers finish them.

    The workers are spawned: Lance, which the signals' package imports, does not survive a fork.
    """
    runs = [values[start : start + size] for start in range(0, len(values), size)]
    with multiprocessing.get_context("spawn").Pool(NUM_WORKERS) as pool:
        yield from pool.imap_unordered(work, runs)


def stored(tables: Iterable[pa.Table], schema: pa.Schema, uri: str) -> pa.Table:
    """Everything written to a Lance table, part by part; gives it back without its pictures, in the order of ids."""
    pending: list[pa.Table] = []
    light: list[pa.Table] = []
    is_there = False
    for table in tables:
        pending.append(table)
        light.append(table.select([name for name in schema.names if name != "image"]))
        if sum(one.num_rows for one in pending) >= COMMIT_ROWS:
            _commit(uri, schema, pending, is_there=is_there)
            pending, is_there = [], True
    if pending:
        _commit(uri, schema, pending, is_there=is_there)
    return pa.concat_tables(light).sort_by("id")


def _commit(uri: str, schema: pa.Schema, tables: Sequence[pa.Table], *, is_there: bool) -> None:
    if not is_there:
        commit.create(uri, schema)
    commit.append_table(uri, pa.concat_tables(tables))
