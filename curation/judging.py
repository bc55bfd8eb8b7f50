"""Verdicts for a table: reads measured columns, asks `curation.verdict`, commits what changed."""

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64
from lance import LanceDataset

from curation import commit, funnel
from curation.signals import SIGNALS
from curation.tables import QUARANTINING, VERDICT_SCHEMA, TableRef, open_table, pin
from curation.verdict import JUDGED_COLUMNS, Judgement, LimitsConfig, judge

logger = logging.getLogger(__name__)

MAX_NAMED = 5
"""How many quarantined rows are named in the log."""


def judge_table(ref: TableRef, limits: LimitsConfig, *, only: frozenset[str] | None = None) -> tuple[TableRef, pa.Table]:
    """Set the verdicts of the measured rows of the referenced version; gives the newest version and the funnel.

    Args:
        ref: names the rows; duplicates are sought among all of them.
        only: ids whose verdict may change and which the funnel counts; None for all.
    """
    newest = commit.add_columns(pin(TableRef(uri=ref.uri)), VERDICT_SCHEMA)
    rows = commit.rows_of(ref, [*JUDGED_COLUMNS, "category", *_ERRORS], where=_MEASURED)
    features = _FeatureColumn(open_table(newest), rows["_rowid"])
    judgements = judge(_with_verdicts(rows, _set_aside(rows)), limits, features_at=features)
    is_ours = np.array([only is None or row_id in only for row_id in rows["id"].to_pylist()], dtype=bool)
    judged = _with_verdicts(rows, judgements)
    _warn_of_quarantined(judged)
    before = rows.select(["verdict", "verdict_reasons"]).to_pylist()
    changed = is_ours & np.array([_differs(*each) for each in zip(before, judgements, strict=True)], dtype=bool)
    values = judged.filter(pa.array(changed)).select(["_rowid", "_rowaddr", "verdict", "verdict_reasons"])
    return commit.set_columns(newest, values), funnel.count(judged.filter(pa.array(is_ours)))


class _FeatureColumn:
    """Looks up image features by the number of the row among those judged."""

    def __init__(self, dataset: LanceDataset, row_ids: pa.ChunkedArray) -> None:
        self._dataset = dataset
        self._row_ids = row_ids.to_numpy()

    def __call__(self, rows: Int64[np.ndarray, "b"]) -> Float32[np.ndarray, "b d"]:
        wanted = self._row_ids[rows]
        where = f"_rowid IN ({','.join(map(str, wanted.tolist()))})"
        found = self._dataset.scanner(columns=["image_features"], filter=where, with_row_id=True).to_table()
        place = {row_id: index for index, row_id in enumerate(found["_rowid"].to_pylist())}
        vectors = found["image_features"].combine_chunks().flatten().to_numpy().reshape(found.num_rows, -1)
        return vectors[[place[row_id] for row_id in wanted.tolist()]]


_ERRORS = tuple(one.error_column for one in SIGNALS)
_MEASURED = " AND ".join(f"{one.version_column} IS NOT NULL" for one in SIGNALS)


def _set_aside(rows: pa.Table) -> list[Judgement | None]:
    """Rows that a signal could not be computed for, by the first words of what it said; None for the others."""
    found: list[Judgement | None] = []
    for row in rows.select(list(_ERRORS)).to_pylist():
        named = {error.partition(":")[0] for error in row.values() if error is not None}
        reasons = tuple(reason for reason in QUARANTINING if reason in named)
        found.append(Judgement("quarantined", reasons) if reasons else None)
    return found


def _with_verdicts(rows: pa.Table, judgements: Sequence[Judgement | None]) -> pa.Table:
    columns = {
        "verdict": [None if one is None else one.verdict for one in judgements],
        "verdict_reasons": [None if one is None else list(one.reasons) for one in judgements],
    }
    for name, values in columns.items():
        field = VERDICT_SCHEMA.field(name)
        rows = rows.set_column(rows.schema.get_field_index(name), field, pa.array(values, field.type))
    return rows


def _differs(row: dict, judgement: Judgement) -> bool:
    return row["verdict"] != judgement.verdict or row["verdict_reasons"] != list(judgement.reasons)


def _warn_of_quarantined(judged: pa.Table) -> None:
    rows = judged.select(["id", "verdict"]).to_pylist()
    bad = [row["id"] for row in rows if row["verdict"] == "quarantined"]
    if bad:
        logger.warning("quarantined", extra={"num_rows": len(bad), "for_example": bad[:MAX_NAMED]})
