"""The closed set of places where rows come from."""

from functools import partial

from curation.tables import TableRef
from train.fetch import InProcessConfig, InProcessRows, RayDataConfig, RowReader, RowsConfig, RowSource
from train.objectives.contract import Objective


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
