"""Where rows come from: one protocol, and one class for each choice."""

from collections.abc import Generator
from functools import partial
from typing import Protocol, runtime_checkable

from curation.tables import TableRef
from train.agenda import Agenda, WorkerStep
from train.fetch import Fetched, InProcessConfig, RayDataConfig, RowReader, RowsConfig
from train.objectives.contract import Objective


@runtime_checkable
class RowSource(Protocol):
    """Where rows come from."""

    @property
    def reader(self) -> RowReader:
        """Reads rows here and now."""
        ...

    def steps(self, agenda: Agenda, steps: range) -> Generator[tuple[WorkerStep, Fetched], None, None]:
        """A worker's part of every step with the rows it needs, in order."""
        ...


class InProcessRows:
    """Source of rows that the worker itself fetches."""

    def __init__(self, reader: RowReader) -> None:
        self.reader = reader

    def steps(self, agenda: Agenda, steps: range) -> Generator[tuple[WorkerStep, Fetched], None, None]:
        """A worker's part of every step with the rows it needs, in order."""
        for step in steps:
            work = agenda.of(step)
            yield work, self.reader.fetch(agenda.rows(work), latents=work.latents)


def build_source(config: RowsConfig, ref: TableRef, objective: Objective) -> RowSource:
    """The source of a configuration, for what the objective reads.

    Raises:
        MissingTable: there is no such table.
    """
    reader = partial(RowReader, ref, objective.columns, objective.decode)
    match config:
        case InProcessConfig():
            return InProcessRows(reader(cache_bytes=config.cache_bytes))
        case RayDataConfig():
            from train.fetchers import FetchedRows  # optional: Ray Data

            return FetchedRows(reader(cache_bytes=config.cache_bytes), config)
