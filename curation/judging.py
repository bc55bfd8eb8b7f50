"""Standing verdicts of a table: reads measured columns, decides by the recipe, commits what changed."""

# pyarrow.compute makes its functions at import, where the checker cannot see them.
# pyright: reportAttributeAccessIssue=false

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Int64
from lance import LanceDataset

from curation import commit, funnel
from curation.evidence import Evidence
from curation.signals import SIGNALS, hashes
from curation.signals.contract import Signal
from curation.tables import REASONS, VERDICT_SCHEMA, TableRef, open_table, pin
from curation.verdict import QUARANTINED, VERDICTS, Decision, DecisionConfig, columns_of, decide, reasons_of
from infra.errors import UserError

logger = logging.getLogger(__name__)

MAX_NAMED = 5
"""How many quarantined rows are named in the log."""


def judge_table(
    ref: TableRef, rules: DecisionConfig, *, measured: Sequence[Signal] = SIGNALS, only: frozenset[str] | None = None
) -> tuple[TableRef, pa.Table]:
    """Set the verdicts of the measured rows of the referenced version; gives the newest version and the funnel.

    Args:
        ref: names the rows; duplicates are sought among all of them.
        rules: may give the reasons in `tables.REASONS`.
        measured: signals that a row must have been asked for to be judged; others wait.
        only: ids whose verdict may change and which the funnel counts; None for all.

    Raises:
        UserError: the rules give another reason, or read a column that is not there.
    """
    _check_rules(rules, ref)
    newest = commit.add_columns(pin(TableRef(uri=ref.uri)), VERDICT_SCHEMA)
    columns = dict.fromkeys([*columns_of(rules), *VERDICT_SCHEMA.names])
    rows = commit.rows_of(ref, list(columns), where=" AND ".join(f"{one.version_column} IS NOT NULL" for one in measured))
    decision = decide(Evidence(rows, features=FeatureColumn(open_table(newest), rules.features, rows["_rowid"])), rules)
    _warn_of_quarantined(rows, decision)
    is_ours = _is_among(rows["id"], only)
    judged = _with_verdicts(rows, decision)
    changed = is_ours & _differs(rows, judged)
    values = judged.filter(pa.array(changed)).select(["_rowid", "_rowaddr", "verdict", "verdict_reasons"])
    ours = Decision(decision.verdict[is_ours], decision.reasons[is_ours], decision.weight[is_ours], decision.names)
    counts = funnel.with_all_reasons(funnel.count(rows[rules.leaf].filter(pa.array(is_ours)), ours))
    return commit.set_columns(newest, values), counts


def _check_rules(rules: DecisionConfig, ref: TableRef) -> None:
    unknown = [reason for reason in reasons_of(rules) if reason not in REASONS]
    if unknown:
        raise UserError(f"reason {unknown[0]!r} is not one of a standing verdict; expected one of {', '.join(REASONS)}")
    there = open_table(pin(TableRef(uri=ref.uri))).schema.names
    lacking = [name for name in columns_of(rules) if name not in there]
    if lacking:
        raise UserError(f"the rules read column {lacking[0]!r}, which {ref.uri} lacks; measure it: add its signal to `signals`")


class FeatureColumn:
    """Looks up vectors by the number of the row among those given; zeros for a row without.

    Args:
        column: of vectors of numbers, or of thumbnails, which are centred.
        row_ids: Lance's, of the rows that are numbered.
    """

    def __init__(self, dataset: LanceDataset, column: str, row_ids: pa.ChunkedArray) -> None:
        self._dataset, self._column = dataset, column
        self._row_ids = row_ids.to_numpy()

    def __call__(self, rows: Int64[np.ndarray, "b"]) -> Float32[np.ndarray, "b d"]:
        """The vectors of the rows with these numbers.

        Raises:
            UserError: the table has no such column.
        """
        if self._column not in self._dataset.schema.names:
            raise UserError(f"table {self._dataset.uri} has no column {self._column!r} to compare by; run `seedbed curate` first")
        wanted = self._row_ids[rows]
        vectors = np.zeros((len(rows), _width(self._dataset.schema.field(self._column).type)), np.float32)
        if not len(rows):
            return vectors
        where = f"{self._column} IS NOT NULL AND _rowid IN ({','.join(map(str, np.unique(wanted).tolist()))})"
        found = self._dataset.scanner(columns=[self._column], filter=where, with_row_id=True).to_table()
        known = found["_rowid"].to_numpy()
        order = np.argsort(known)
        places = np.searchsorted(known[order], wanted)
        is_known = np.append(known[order], np.uint64(2**64 - 1))[places] == wanted
        vectors[is_known] = _matrix(found[self._column].combine_chunks())[order[places[is_known]]]
        return vectors


def _width(vectors: pa.DataType) -> int:
    return vectors.byte_width if pa.types.is_fixed_size_binary(vectors) else vectors.list_size


def _matrix(vectors: pa.Array) -> Float32[np.ndarray, "b d"]:
    if not pa.types.is_fixed_size_binary(vectors.type):
        return vectors.flatten().to_numpy().reshape(len(vectors), vectors.type.list_size)
    return hashes.centred(np.frombuffer(b"".join(vectors.to_pylist()), np.uint8).reshape(len(vectors), -1))


def _with_verdicts(rows: pa.Table, decision: Decision) -> pa.Table:
    columns = {"verdict": pa.array(np.array(VERDICTS)[decision.verdict]), "verdict_reasons": _reason_lists(decision)}
    for name, values in columns.items():
        field = VERDICT_SCHEMA.field(name)
        rows = rows.set_column(rows.schema.get_field_index(name), field, values.cast(field.type))
    return rows


def _reason_lists(decision: Decision) -> pa.ListArray:
    """All reasons of every row, in the order in which they are applied."""
    bits = np.arange(len(decision.names), dtype=np.uint64)
    rows, places = np.nonzero((decision.reasons[:, None] >> bits) & np.uint64(1))
    offsets = np.append(0, np.cumsum(np.bincount(rows, minlength=len(decision.reasons))))
    names = pa.array(decision.names, pa.string()).take(pa.array(places))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names)


def _differs(before: pa.Table, after: pa.Table) -> Bool[np.ndarray, "n"]:
    texts = [(rows["verdict"], pc.binary_join(rows["verdict_reasons"], " ")) for rows in (before, after)]
    is_equal = [pc.fill_null(pc.equal(ours, theirs), False).to_numpy() for ours, theirs in zip(*texts, strict=True)]
    return ~np.logical_and(*is_equal)


def _is_among(ids: pa.ChunkedArray, only: frozenset[str] | None) -> Bool[np.ndarray, "n"]:
    if only is None:
        return np.ones(len(ids), bool)
    return pc.is_in(ids, pa.array(sorted(only), pa.string())).to_numpy()


def _warn_of_quarantined(rows: pa.Table, decision: Decision) -> None:
    bad = np.flatnonzero(decision.verdict == QUARANTINED)
    if len(bad):
        examples = rows["id"].take(pa.array(bad[:MAX_NAMED])).to_pylist()
        logger.warning("quarantined", extra={"num_rows": len(bad), "for_example": examples})
