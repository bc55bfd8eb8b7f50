import threading
from collections.abc import Callable
from pathlib import Path

import lance
import pyarrow as pa
import pytest

from curation import commit
from curation.tables import MissingTable, TableRef

SCHEMA = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("size", pa.int64(), nullable=False)])
DOUBLED = pa.schema([pa.field("doubled", pa.int64()), pa.field("parts", pa.list_(pa.string()))])


def _ignore(num_rows: int) -> None:
    """Nobody listens."""


def _rows(sizes: range) -> pa.Table:
    return pa.table({"id": [f"r{size}" for size in sizes], "size": list(sizes)}, schema=SCHEMA)


def _chunks(*bounds: tuple[int, int]) -> list[pa.Table]:
    return [pa.table({"id": [f"r{i}" for i in range(low, high)]}) for low, high in bounds]


@pytest.fixture
def table(tmp_path: Path) -> TableRef:
    """Three fragments of four rows, written without Ray."""
    uri = str(tmp_path / "t.lance")
    commit.create(uri, SCHEMA)
    refs = [commit.append_table(uri, _rows(range(start, start + 4))) for start in (0, 4, 8)]
    return refs[-1]


def _sizing() -> Callable[[], commit.Fill]:
    def build() -> commit.Fill:
        return lambda rows: rows.append_column("size", pa.array([int(one[1:]) for one in rows["id"].to_pylist()], pa.int64()))

    return build


def _doubling(log: Path, *, poison: int | None = None) -> Callable[[], commit.Fill]:
    """Doubles `size`, notes each row it computed, and fails on one size while the file ``poisoned`` is there."""

    def build() -> commit.Fill:
        def fill(rows: pa.Table) -> pa.Table:
            sizes = rows["size"].to_pylist()
            if poison in sizes and (log / "poisoned").exists():
                raise OSError("the disk went away")
            for size in sizes:
                with (log / f"computed-{size}").open("a") as file:
                    file.write("x")
            columns = {"doubled": [2 * size for size in sizes], "parts": [[str(size)] * (size % 3) for size in sizes]}
            return pa.table(columns, schema=DOUBLED)

        return fill

    return build


def _fill(
    ref: TableRef, build: Callable[[], commit.Fill], *, on_commit: commit.OnCommit = _ignore, among: frozenset[str] | None = None
) -> TableRef:
    commit.add_columns(ref, DOUBLED)
    return commit.fill_columns(
        ref, DOUBLED, read=["size"], find=lambda: commit.pending(ref, "doubled IS NULL", among=among), build=build,
        workers=commit.Tasks(1), on_commit=on_commit,
    )  # fmt: skip


def _values(uri: str, column: str) -> dict[str, object]:
    rows = lance.dataset(uri).to_table(columns=["id", column]).to_pylist()
    return {row["id"]: row[column] for row in rows}


def test_create_keeps_what_is_there_and_refuses_another_kind_of_table(table: TableRef) -> None:
    assert commit.create(table.uri, SCHEMA) == table
    with pytest.raises(MissingTable, match="no column 'other'"):
        commit.create(table.uri, pa.schema([*SCHEMA, pa.field("other", pa.string())]))


def test_rows_that_are_there_are_not_appended_again(table: TableRef) -> None:
    again = commit.append_table(table.uri, pa.table({"id": ["r3", "r99"], "size": [3, 99]}, schema=SCHEMA))
    assert sorted(_values(table.uri, "size")) == sorted([f"r{i}" for i in range(12)] + ["r99"])
    assert commit.append_table(table.uri, pa.table({"id": ["r99"], "size": [99]}, schema=SCHEMA)) == again


def test_a_selection_is_written_once(tmp_path: Path) -> None:
    uri = str(tmp_path / "s.lance")
    first = commit.write_selection(uri, pa.table({"id": ["a"], "size": [1]}, schema=SCHEMA))
    second = commit.write_selection(uri, pa.table({"id": ["b"], "size": [2]}, schema=SCHEMA))
    assert first == second
    assert _values(uri, "size") == {"a": 1}
    assert lance.dataset(uri).schema.metadata == {b"seedbed.schema_version": b"1"}


def test_a_version_names_rows_and_the_newest_gives_their_values(table: TableRef) -> None:
    commit.append_table(table.uri, pa.table({"id": ["late"], "size": [0]}, schema=SCHEMA))
    commit.add_columns(table, DOUBLED)
    assert commit.rows_of(table, ["id", "doubled"]).num_rows == 12
    assert [len(one.row_ids) for one in commit.pending(table, "doubled IS NULL")] == [4, 4, 4]
    assert sum(len(one.row_ids) for one in commit.pending(table, "doubled IS NULL", among=frozenset({"r1", "r9", "late"}))) == 2


def test_a_table_written_anew_is_refused(table: TableRef) -> None:
    lance.write_dataset(pa.table({"id": ["x"], "size": [1]}, schema=SCHEMA), table.uri, mode="overwrite")
    with pytest.raises(MissingTable, match="rewritten after version"):
        commit.rows_of(table, ["id"])


def test_required_columns_name_the_job_that_fills_them(table: TableRef) -> None:
    with pytest.raises(MissingTable, match="no column 'doubled'; run `seedbed curate`"):
        commit.require_columns(table, DOUBLED, job="curate")


def test_set_columns_changes_the_given_rows_only(table: TableRef) -> None:
    ref = commit.add_columns(table, DOUBLED)
    rows = commit.rows_of(ref, ["id"], where="id IN ('r2', 'r11')")
    values = rows.drop_columns(["id"]).append_column("doubled", pa.array([-1, -2], pa.int64()))
    after = commit.set_columns(ref, values)
    assert {key: value for key, value in _values(table.uri, "doubled").items() if value is not None} == {"r2": -1, "r11": -2}
    assert after.version == (ref.version or 0) + 1
    assert commit.set_columns(after, values.slice(0, 0)) == after


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("workers", [commit.Tasks(2), commit.Actors(2)])
def test_appended_rows_keep_the_order_of_the_chunks(tmp_path: Path, workers: commit.Workers) -> None:
    uri, told = str(tmp_path / "t.lance"), []
    commit.create(uri, SCHEMA)
    chunks = _chunks((0, 3), (3, 5), (5, 9))
    ref = commit.append_rows(uri, SCHEMA, chunks, build=_sizing(), workers=workers, on_commit=told.append)
    assert lance.dataset(uri, version=ref.version).to_table()["size"].to_pylist() == list(range(9))
    assert told == [3, 2, 4]
    assert commit.append_rows(uri, SCHEMA, [], build=_sizing(), workers=workers, on_commit=told.append) == ref


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_rows_appended_before_a_column_was_added_and_after_are_both_filled(table: TableRef, tmp_path: Path) -> None:
    _fill(table, _doubling(tmp_path), among=frozenset({"r0", "r5"}))
    assert {key for key, value in _values(table.uri, "doubled").items() if value is not None} == {"r0", "r5"}
    newest = commit.append_table(table.uri, pa.table({"id": ["r12"], "size": [12]}, schema=SCHEMA))
    _fill(newest, _doubling(tmp_path))
    assert _values(table.uri, "doubled") == {f"r{i}": 2 * i for i in range(13)}
    assert _values(table.uri, "parts") == {f"r{i}": [str(i)] * (i % 3) for i in range(13)}
    assert _values(table.uri, "size") == {f"r{i}": i for i in range(13)}


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_broken_off_fill_goes_on_where_it_was(table: TableRef, tmp_path: Path) -> None:
    (tmp_path / "poisoned").touch()
    with pytest.raises(Exception, match="the disk went away"):
        _fill(table, _doubling(tmp_path, poison=9))
    assert len(commit.pending(table, "doubled IS NULL")) < 3
    computed_before = {path.name for path in tmp_path.glob("computed-*")}
    (tmp_path / "poisoned").unlink()
    told: list[int] = []
    _fill(table, _doubling(tmp_path, poison=9), on_commit=told.append)
    assert _values(table.uri, "doubled") == {f"r{i}": 2 * i for i in range(12)}
    assert sum(told) == 12 - len(computed_before & {f"computed-{i}" for i in range(8)})
    assert all((tmp_path / f"computed-{i}").read_text() == "x" for i in range(4))   # the first fragment was done once


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_fragment_that_another_writer_changed_is_computed_again(table: TableRef, tmp_path: Path) -> None:
    ref = commit.add_columns(table, pa.schema([pa.field("note", pa.string())]))
    meddled = threading.Event()

    def meddle(num_rows: int) -> None:
        if not meddled.is_set():
            meddled.set()
            newest = TableRef(uri=ref.uri, version=lance.dataset(ref.uri).version)
            rows = commit.rows_of(newest, ["size"], where="size = 11")
            commit.set_columns(newest, rows.drop_columns(["size"]).append_column("note", pa.array(["mine"])))

    _fill(ref, _doubling(tmp_path), on_commit=meddle)
    assert _values(ref.uri, "doubled") == {f"r{i}": 2 * i for i in range(12)}
    assert _values(ref.uri, "note")["r11"] == "mine"
    assert (tmp_path / "computed-11").read_text() == "xx"
