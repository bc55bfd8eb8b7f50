"""Signals into a table: what is to do, who does it, what is committed, what is left over.

The unit of commit is one signal in one fragment; the unit of loss is a batch (`curation.staging`), and a row that cannot be
computed costs that row (`curation.computing`). Fragments appended, rows deleted and other columns filled in meanwhile do not
disturb. Nothing is held on the driver but the fragments' numbers.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import lance
import pyarrow as pa
from pyarrow import fs

from curation import commit
from curation.commit import Replacement
from curation.computing import FragmentFiller
from curation.counters import Counters
from curation.signals.contract import Compute, Signal
from curation.staging import staged
from curation.tables import MissingTable, TableRef, open_table
from curation.workers import Workers, stream
from infra.storage import filesystem_of

logger = logging.getLogger(__name__)

ROUNDS = 3
"""How often fragments are looked at again whose columns another job wrote meanwhile, before giving up."""


STALE_S = 3600.0
"""An unfinished file that was not written to for so long is nobody's any more."""
_UNFINISHED = ".tmp"
"""How names of files begin that Lance writes on a local disk; they are renamed when they are whole."""


class Rows(NamedTuple):
    """Which rows of a table the work is limited to."""

    where: str | None = None
    """Lance filter; None for all."""
    among: frozenset[str] | None = None
    """Ids; None for all."""


class Backfilled(NamedTuple):
    """What was done."""

    table: TableRef
    num_rows: int
    """Rows that got values, or an error, in this run."""
    num_failed: int
    """Values that could not be computed, over all signals."""
    num_reused: int
    """Values that an earlier attempt, killed before its commit, had left."""
    cpu_s: Mapping[str, float]
    """CPU seconds by signal, and for "read" and "decode"."""
    num_computed: Mapping[str, int]
    """Rows that this CPU time was spent on, by the same names."""
    num_bytes: int
    """Bytes of the rows that were read."""


def num_todo(ref: TableRef, signals: Sequence[Signal], rows: Rows = Rows()) -> int:  # noqa: B008  an immutable default
    """Rows of the referenced version for which a signal is still to be computed."""
    dataset, fragments = _newest(ref)
    is_known = all(one.version_column in dataset.schema.names for one in signals)
    where = _both(" OR ".join(one.todo for one in signals), rows.where) if is_known else rows.where
    columns = [] if rows.among is None else ["id"]
    batches = dataset.scanner(columns=columns, filter=where, fragments=fragments, with_row_address=True).to_batches()
    return sum(_num_among(batch, rows.among) for batch in batches)


def backfill(
    ref: TableRef, signals: Sequence[Signal], *, rows: Rows = Rows(), workers: Workers, on_commit: commit.OnCommit  # noqa: B008
) -> Backfilled:
    """Compute what is to do and commit it fragment by fragment; Ray must be up.

    Args:
        ref: its version names the fragments; values are computed from, and written to, the newest version.
        on_commit: told the number of rows after each commit.

    Raises:
        UserError: some rows are to be filled in columns that an earlier release made otherwise.
    """
    for one in signals:
        commit.add_columns(ref, one.schema, may_begin_anew=rows == Rows())
    total: Counter[str] = Counter()
    cpu_s: dict[str, float] = {}
    num_computed: Counter[str] = Counter()
    for _ in range(ROUNDS):
        if not num_todo(ref, signals, rows):
            break
        for report in _computed(ref, signals, rows, workers):
            for line in report["costs"]:
                cpu_s[line["name"]] = cpu_s.get(line["name"], 0.0) + line["cpu_s"]
                num_computed[line["name"]] += line["num_rows"]
            total["num_bytes"] += report["num_bytes"]
            committed = [line for line in report["filled"] if _commit(ref.uri, report, line)]
            total.update({name: sum(line[name] for line in committed) for name in _VALUE_COUNTS})
            if committed:
                total["num_rows"] += report["num_rows"]
                on_commit(report["num_rows"])
    left = num_todo(ref, signals, rows)
    assert not left, f"{left} rows of {ref.uri} to do after {ROUNDS} rounds: does another job fill the same columns?"
    tidy(ref.uri, signals)
    version = lance.dataset(ref.uri).version
    return Backfilled(
        TableRef(uri=ref.uri, version=version), total["num_rows"], total["num_failed"], total["num_reused"], cpu_s=cpu_s,
        num_computed=num_computed, num_bytes=total["num_bytes"],
    )  # fmt: skip


def tidy(uri: str, signals: Sequence[Signal]) -> int:
    """Remove what killed attempts left of these signals, column files that were never committed among them; the bytes of those.

    Only when nothing of them is to do: what is removed would have spared a computation. Files that Lance had not even finished
    have no name by which their signal is known, so they go, whoever's they are, when nothing was written to them for long.
    """
    referenced = {file.path for fragment in lance.dataset(uri).get_fragments() for file in fragment.data_files()}
    num_bytes = 0
    for one in signals:
        for left in staged(uri, one.name):
            orphans = [name for name in left.column_files() if name not in referenced]
            num_bytes += sum(_remove(commit.column_file_path(uri, name)) for name in orphans)
            left.clear()
    return num_bytes + _remove_unfinished(uri)


_VALUE_COUNTS = ("num_failed", "num_reused")


def _commit(uri: str, report: Mapping, line: Mapping) -> bool:
    """One signal of one fragment; Lance takes files of different columns one operation at a time."""
    return commit.replace_columns(uri, [Replacement(report["fragment_id"], line["file"])], read_version=report["version"])


def _computed(ref: TableRef, signals: Sequence[Signal], rows: Rows, workers: Workers) -> Iterator[dict]:
    dataset, fragments = _newest(ref)
    base = TableRef(uri=ref.uri, version=dataset.version)
    blocks = [pa.table({"fragment_id": [fragment.fragment_id]}) for fragment in fragments]
    arguments = {"ref": base, "signals": list(signals), "rows": rows}
    return stream(blocks, _Filler, arguments, workers)


class _Filler:
    """Worker: computes the signals of one fragment and writes their column files."""

    def __init__(self, ref: TableRef, signals: Sequence[Signal], rows: Rows) -> None:
        self._ref, self._dataset, self._signals, self._rows = ref, open_table(ref), signals, rows
        self._built: dict[str, Compute] = {}
        self._counters = Counters()

    def __call__(self, block: pa.Table) -> pa.Table:
        fragment = self._dataset.get_fragment(block["fragment_id"][0].as_py())
        assert fragment is not None, block
        filler = FragmentFiller(self._dataset, fragment, self._compute, among=self._rows.among, where=self._rows.where)
        filled = [
            {"name": done.signal.name, "file": done.replacement.file, **{name: getattr(done, name) for name in _VALUE_COUNTS}}
            for done in filler.fill(self._signals)
        ]
        account = filler.account
        failed = {line["name"]: line["num_failed"] for line in filled}
        self._counters.count(rows=account.num_rows, failed=failed, cpu_s=account.cpu_s)
        costs = [{"name": one, "cpu_s": seconds, "num_rows": account.num_rows[one]} for one, seconds in account.cpu_s.items()]
        line = {
            "fragment_id": fragment.fragment_id, "version": self._ref.version, "num_rows": filler.num_rows, "filled": filled,
            "costs": costs, "num_bytes": account.num_bytes,
        }  # fmt: skip
        return pa.Table.from_pylist([line], schema=_REPORT)

    def _compute(self, one: Signal) -> Compute:
        if one.name not in self._built:
            self._built[one.name] = one.build()
        return self._built[one.name]


_NAME = pa.field("name", pa.string())
_FILLED = pa.struct([_NAME, pa.field("file", pa.string()), *(pa.field(one, pa.int64()) for one in _VALUE_COUNTS)])
_COST = pa.struct([_NAME, pa.field("cpu_s", pa.float64()), pa.field("num_rows", pa.int64())])
_REPORT = pa.schema(
    [
        pa.field("fragment_id", pa.int64()), pa.field("version", pa.int64()), pa.field("num_rows", pa.int64()),
        pa.field("filled", pa.list_(_FILLED)), pa.field("costs", pa.list_(_COST)), pa.field("num_bytes", pa.int64()),
    ]
)  # fmt: skip


def _newest(ref: TableRef) -> tuple[lance.LanceDataset, list[lance.LanceFragment]]:
    """The newest version, and its fragments that the referenced one has.

    Raises:
        MissingTable: fragments of that version are gone, since the table was compacted or written anew.
    """
    wanted = {fragment.fragment_id for fragment in open_table(ref).get_fragments()}
    dataset = lance.dataset(ref.uri)
    fragments = [fragment for fragment in dataset.get_fragments() if fragment.fragment_id in wanted]
    if len(fragments) != len(wanted):
        raise MissingTable(f"table {ref.uri} was rewritten after version {ref.version}; give the newest version")
    return dataset, fragments


def _num_among(batch: pa.RecordBatch, among: frozenset[str] | None) -> int:
    return batch.num_rows if among is None else sum(row_id in among for row_id in batch["id"].to_pylist())


def _both(first: str, second: str | None) -> str:
    return first if second is None else f"({first}) AND ({second})"


def _remove_unfinished(uri: str) -> int:
    if "://" in uri:                                              # stores show a file when it is whole
        return 0
    files, folder = filesystem_of(commit.column_file_path(uri, ""))
    found = files.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    stale = [one for one in found if one.base_name.startswith(_UNFINISHED) and time.time() - one.mtime.timestamp() > STALE_S]
    return sum(_remove(commit.column_file_path(uri, one.base_name)) for one in stale)


def _remove(uri: str) -> int:
    files, path = filesystem_of(uri)
    info = files.get_file_info(path)
    if info.type is not fs.FileType.File:
        return 0
    files.delete_file(path)
    return info.size or 0
