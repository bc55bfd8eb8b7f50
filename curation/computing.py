"""One fragment in one worker: read a batch once, decode it once, ask every signal, keep what they gave, write column files.

What may go wrong stays small. A batch during which a signal raised, or during which the worker died before, is asked about row
by row; a row that raises, or over which the worker died twice, is set aside with the reason and everybody else gets a value.
A deadline ends the worker even when it hangs inside a library: the alarm's default action needs no cooperation.
"""

import logging
import signal as signals_of_system
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import NamedTuple

import lance
import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from curation.commit import ColumnFile, Replacement
from curation.decode import Scaled, Undecodable, decode_scaled
from curation.signals.contract import VIEW_SIDE_PX, Batch, Compute, Signal
from curation.staging import Staging
from infra.errors import one_line_with_type

logger = logging.getLogger(__name__)

ROW_ATTEMPTS = 2
"""How often a row may take its worker with it before it is set aside; the first time somebody may have stopped the machine."""

OFFSET = "_offset"
"""Column of staged values: physical place of the row in its fragment."""

Offsets = Int64[np.ndarray, " _"]


class Filled(NamedTuple):
    """What became of one signal in one fragment."""

    signal: Signal
    replacement: Replacement
    num_rows: int
    """Rows that were to do."""
    num_failed: int
    """Rows among them that were set aside."""
    num_reused: int
    """Rows among them whose values an earlier attempt had left."""


class Account:
    """What work took, by name: "read", "decode", and each signal's own."""

    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = {}
        self.num_rows: Counter[str] = Counter()
        """Rows read, pictures decoded, rows that a signal gave values for."""
        self.num_bytes = 0
        """Bytes of the rows that were read, pictures still encoded."""

    def spend(self, name: str, began: float, *, num_rows: int) -> None:
        """Add this process's CPU time since `began`, and the rows that it was spent on."""
        self.cpu_s[name] = self.cpu_s.get(name, 0.0) + time.process_time() - began
        self.num_rows[name] += num_rows


class FragmentFiller:
    """Computes signals for one fragment."""

    def __init__(
        self, dataset: lance.LanceDataset, fragment: lance.LanceFragment, computes: Callable[[Signal], Compute], *,
        among: frozenset[str] | None, where: str | None,
    ) -> None:  # fmt: skip
        """`computes` gives the function of a signal; `among` (ids) and `where` (a Lance filter) limit the work, None does not."""
        self._dataset, self._fragment, self._computes = dataset, fragment, computes
        self._among, self._where = among, where
        self.account = Account()
        self.num_rows = 0
        """Rows for which any signal was to do."""

    @cached_property
    def _live(self) -> Offsets:
        return self._offsets(None)

    def fill(self, wanted: Sequence[Signal]) -> list[Filled]:
        """Column files of all signals that have rows to do here."""
        todo = {one.name: self._pending(one) for one in wanted}
        busy = [one for one in wanted if len(todo[one.name])]
        if not busy:
            return []
        self.num_rows = len(np.unique(np.concatenate([todo[one.name] for one in busy])))
        staging = {one.name: Staging(self._dataset.uri, one.name, one.version, self._fragment.fragment_id) for one in busy}
        reused: Counter[str] = Counter()
        for first, last in self._ranges(busy):
            batch = _LazyBatch(self._read, sorted({name for one in busy for name in one.inputs}), self.account)
            for one in busy:
                offsets = _within(todo[one.name], first, last)
                if len(offsets):
                    reused[one.name] += self._ensure(one, staging[one.name], first, offsets, batch)
        return [self._written(one, staging[one.name], todo[one.name], num_reused=reused[one.name], among=busy) for one in busy]

    def _pending(self, one: Signal) -> Offsets:
        where = one.todo if self._where is None else f"({one.todo}) AND ({self._where})"
        if self._among is None:
            return self._offsets(where)
        rows = self._scanner(["id"], filter=where, with_row_address=True).to_table()
        is_wanted = np.fromiter((row_id in self._among for row_id in rows["id"].to_pylist()), bool, rows.num_rows)
        return _offsets_of(rows)[is_wanted]

    def _ensure(self, one: Signal, staging: Staging, first: int, offsets: Offsets, batch: "_LazyBatch") -> int:
        """Keep the values of these rows; gives how many were there already."""
        unit = f"{first:09d}"
        if _covers(staging.kept(unit, _staged_schema(one)), offsets):
            return len(offsets)
        num_begun = staging.begin(unit)
        values = self._at_once(one, offsets, batch) if num_begun == 0 else None
        if values is None:
            values = pa.concat_tables([self._alone(one, staging, unit, offset, batch) for offset in offsets.tolist()])
        staging.keep(unit, values)
        return 0

    def _at_once(self, one: Signal, offsets: Offsets, batch: "_LazyBatch") -> pa.Table | None:
        """The values of a batch; None when it has to be asked about row by row."""
        try:
            with _deadline(one.row_timeout_s * len(offsets)):
                return self._computed(one, offsets, batch)
        except Exception as error:  # noqa: BLE001  whatever a signal raises costs single rows, see `_alone`
            logger.warning("row by row", extra={"signal": one.name, "rows": len(offsets), "error": _in_words(error)})
            return None

    def _alone(self, one: Signal, staging: Staging, unit: str, offset: int, batch: "_LazyBatch") -> pa.Table:
        """The values of one row, or the reason why it has none."""
        row_unit, offsets = f"{unit}.{offset}", np.array([offset])
        kept = staging.kept(row_unit, _staged_schema(one))
        if kept is not None:
            return kept
        num_begun = staging.begin(row_unit)
        if num_begun >= ROW_ATTEMPTS:
            why = f"crashed: the worker died {num_begun} times over this row, or it took longer than {one.row_timeout_s:g} s"
            values = _failed(one, offsets, [why])
        else:
            try:
                with _deadline(one.row_timeout_s):
                    values = self._computed(one, offsets, batch)
            except Exception as error:  # noqa: BLE001  the row is set aside with the reason, and counted
                values = _failed(one, offsets, [f"failed: {_in_words(error)}"])
        staging.keep(row_unit, values)
        return values

    def _computed(self, one: Signal, offsets: Offsets, batch: "_LazyBatch") -> pa.Table:
        """Values of the rows that can be looked at, errors of the others, in the order of the rows."""
        rows, pictures, errors = batch.at(offsets, needs_pictures=one.takes_pictures)
        good = np.array([error is None for error in errors], dtype=bool)
        compute = self._computes(one)                              # loading weights is no time of these rows
        began = time.process_time()
        seen = [picture for picture in pictures if picture is not None]
        found = compute(Batch(rows.filter(pa.array(good)), seen)) if good.any() else {}
        self.account.spend(one.name, began, num_rows=len(seen) if one.takes_pictures else len(offsets))
        parts = [_failed(one, offsets[~good], [error for error in errors if error is not None])]
        if good.any():
            parts.append(_valued(one, offsets[good], found))
        return pa.concat_tables(parts).sort_by(OFFSET)

    def _written(
        self, one: Signal, staging: Staging, todo: Offsets, *, num_reused: int, among: Sequence[Signal]
    ) -> Filled:
        """Write the column file: fresh values where rows were to do, the values of before elsewhere, nulls for deleted rows."""
        num_failed = 0
        with ColumnFile(self._dataset, one.schema, announce=staging.note_column_file) as file:
            for first, last in self._ranges(among):
                offsets = _within(todo, first, last)
                fresh = staging.kept(f"{first:09d}", _staged_schema(one)) if len(offsets) else None
                parts = [] if fresh is None else [fresh]
                num_failed += 0 if fresh is None else fresh.num_rows - fresh[one.error_column].null_count
                others = np.setdiff1d(_within(self._live, first, last), offsets)
                if len(others):
                    parts.append(self._read(others, one.schema.names))
                file.write(_placed(parts, one.schema, first=first, num_rows=last - first))
        return Filled(one, file.replacement(self._fragment.fragment_id), len(todo), num_failed, num_reused)

    def _ranges(self, wanted: Sequence[Signal]) -> Iterator[tuple[int, int]]:
        size, end = min(one.batch_rows for one in wanted), self._fragment.physical_rows
        return ((first, min(first + size, end)) for first in range(0, end, size))

    def _offsets(self, where: str | None) -> Offsets:
        return _offsets_of(self._scanner([], filter=where, with_row_address=True).to_table())

    def _read(self, offsets: Offsets, columns: Sequence[str]) -> pa.Table:
        """These rows, with their offsets; they must be live."""
        begin, end = np.searchsorted(self._live, [offsets[0], offsets[-1] + 1]).tolist()
        rows = self._scanner(list(columns), offset=begin, limit=end - begin, with_row_address=True).to_table()
        rows = rows.set_column(rows.schema.get_field_index("_rowaddr"), OFFSET, pa.array(_offsets_of(rows)))
        return rows.filter(pa.array(np.isin(rows[OFFSET].to_numpy(), offsets)))

    def _scanner(self, columns: list[str], **options: object) -> lance.LanceScanner:
        return self._dataset.scanner(columns=columns, fragments=[self._fragment], **options)  # pyright: ignore[reportArgumentType]


class _LazyBatch:
    """Rows of a range and their pictures, read and decoded when a signal first asks."""

    def __init__(self, read: Callable[[Offsets, Sequence[str]], pa.Table], columns: list[str], account: Account) -> None:
        self._read, self._columns, self._account = read, columns, account
        self._rows: dict[int, pa.Table] = {}
        self._pictures: dict[int, Scaled | str] = {}

    def at(
        self, offsets: Offsets, *, needs_pictures: bool
    ) -> tuple[pa.Table, Sequence[Scaled | None], Sequence[str | None]]:
        """Rows, their pictures (None where there is none) and the errors of those that have none."""
        self._fetch([offset for offset in offsets.tolist() if offset not in self._rows])
        rows = pa.concat_tables([self._rows[offset] for offset in offsets.tolist()])
        if not needs_pictures:
            return rows, [None] * len(offsets), [None] * len(offsets)
        found = [self._picture(offset) for offset in offsets.tolist()]
        return (
            rows,
            [None if isinstance(one, str) else one for one in found],
            [one if isinstance(one, str) else None for one in found],
        )

    def _fetch(self, missing: list[int]) -> None:
        if not missing:
            return
        began = time.process_time()
        table = self._read(np.array(missing), self._columns)
        for index, offset in enumerate(table[OFFSET].to_pylist()):
            self._rows[offset] = table.slice(index, 1)
        self._account.spend("read", began, num_rows=len(missing))
        self._account.num_bytes += table.nbytes

    def _picture(self, offset: int) -> Scaled | str:
        if offset not in self._pictures:
            began = time.process_time()
            self._pictures[offset] = _decoded(self._rows[offset]["image"][0].as_py())
            self._account.spend("decode", began, num_rows=1)
        return self._pictures[offset]


def _decoded(encoded: bytes | None) -> Scaled | str:
    if encoded is None:
        return "unreadable: there are no bytes, see ingest_error"
    try:
        return decode_scaled(encoded, VIEW_SIDE_PX)
    except Undecodable as error:
        return f"{error.reason}: {error}"


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """End this process when the block takes longer."""
    signals_of_system.setitimer(signals_of_system.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signals_of_system.setitimer(signals_of_system.ITIMER_REAL, 0)


def _staged_schema(one: Signal) -> pa.Schema:
    return pa.schema([pa.field(OFFSET, pa.int64()), *one.schema])


def _valued(one: Signal, offsets: Offsets, found: Mapping[str, pa.Array]) -> pa.Table:
    assert all(len(values) == len(offsets) for values in found.values()), (one.name, len(offsets))
    columns = {
        OFFSET: pa.array(offsets),
        **{name: found[name] for name in one.outputs.names},
        one.version_column: pa.array([one.version] * len(offsets), pa.string()),
        one.error_column: pa.nulls(len(offsets), pa.string()),
    }
    return pa.table(columns).cast(_staged_schema(one))


def _failed(one: Signal, offsets: Offsets, errors: Sequence[str]) -> pa.Table:
    columns = {
        OFFSET: pa.array(offsets, pa.int64()),
        **{field.name: pa.nulls(len(offsets), field.type) for field in one.outputs},
        one.version_column: pa.array([one.version] * len(offsets), pa.string()),
        one.error_column: pa.array(errors, pa.string()),
    }
    return pa.table(columns, schema=_staged_schema(one))


def _placed(parts: Sequence[pa.Table], schema: pa.Schema, *, first: int, num_rows: int) -> pa.Table:
    """Rows put at their places in a range, nulls in between."""
    if not parts:
        return pa.table([pa.nulls(num_rows, field.type) for field in schema], schema=schema)
    known = pa.concat_tables([part.select([OFFSET, *schema.names]) for part in parts], promote_options="permissive")
    places = np.full(num_rows, -1)
    places[known[OFFSET].to_numpy() - first] = np.arange(known.num_rows)
    return known.take(pa.array(places, mask=places < 0)).select(schema.names).cast(schema)


def _covers(kept: pa.Table | None, offsets: Offsets) -> bool:
    return kept is not None and np.array_equal(kept[OFFSET].to_numpy(), offsets)


def _within(offsets: Offsets, first: int, last: int) -> Offsets:
    begin, end = np.searchsorted(offsets, [first, last]).tolist()
    return offsets[begin:end]


def _offsets_of(rows: pa.Table) -> Offsets:
    return (rows["_rowaddr"].to_numpy() & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _in_words(error: Exception) -> str:
    return one_line_with_type(error, max_characters=300)
