"""What the jobs that fill columns have in common: find what is to do, start Ray only then, show progress, commit as it comes."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from curation import commit
from curation.tables import TableRef
from infra.session import Session


class Columns(NamedTuple):
    """Columns to fill, and for which rows."""

    schema: pa.Schema
    read: tuple[str, ...]
    """Columns that the values are computed from."""
    todo: str
    """Lance filter that tells the rows that lack a value."""
    among: frozenset[str] | None = None
    """Ids to which the job is limited; None for all rows of the version."""


class Filled(NamedTuple):
    """The table afterwards."""

    table: TableRef
    num_rows: int
    """Rows that have the columns by now."""
    num_fresh: int
    """Rows that got them in this run."""


def fill(
    name: str, session: Session, images: TableRef, columns: Columns, *, build: Callable[[], commit.Fill], workers: commit.Workers
) -> Filled:
    """Fill the columns of the rows that the version of `images` names; `name` is what the progress bar says."""
    commit.add_columns(images, columns.schema)
    num_rows = commit.rows_of(images, []).num_rows if columns.among is None else len(columns.among)
    find = partial(commit.pending, images, columns.todo, among=columns.among)
    num_fresh = sum(len(one.row_ids) for one in find())
    if num_fresh:
        session.start_ray()
    with session.progress.stage(name, total=num_rows) as bar:
        bar.start_at(num_rows - num_fresh)
        table = commit.fill_columns(
            images, columns.schema, read=columns.read, find=find, build=build, workers=workers, on_commit=bar.advance
        )
    return Filled(table, num_rows, num_fresh)
