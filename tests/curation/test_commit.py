from collections.abc import Callable
from pathlib import Path

import lance
import pyarrow as pa
import pytest

from curation import commit
from curation.tables import MissingTable, TableRef
from curation.workers import Actors, Tasks, Workers
from infra.errors import UserError

SCHEMA = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("size", pa.int64(), nullable=False)])
DOUBLED = pa.schema([pa.field("doubled", pa.int64()), pa.field("parts", pa.list_(pa.string()))])


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


def test_a_table_written_anew_is_refused(table: TableRef) -> None:
    lance.write_dataset(pa.table({"id": ["x"], "size": [1]}, schema=SCHEMA), table.uri, mode="overwrite")
    with pytest.raises(MissingTable, match="rewritten after version"):
        commit.rows_of(table, ["id"])


def test_required_columns_name_the_job_that_fills_them(table: TableRef) -> None:
    with pytest.raises(MissingTable, match="no column 'doubled'; run `seedbed curate`"):
        commit.require_columns(table, DOUBLED, job="curate")


def test_columns_of_an_earlier_release_begin_anew_only_where_all_rows_are_filled(table: TableRef) -> None:
    commit.add_columns(table, pa.schema([DOUBLED.field("doubled")]))
    with pytest.raises(UserError, match=r"columns doubled of .* are of an earlier release"):
        commit.add_columns(table, DOUBLED, may_begin_anew=False)
    ref = commit.add_columns(table, DOUBLED)
    assert set(DOUBLED.names) <= set(lance.dataset(ref.uri).schema.names)
    assert commit.add_columns(table, DOUBLED, may_begin_anew=False) == ref


def test_erasing_rows_takes_the_indexes_along_which_hold_their_words(tmp_path: Path) -> None:
    uri = str(tmp_path / "t.lance")
    commit.create(uri, SCHEMA)
    for name in ("unforgettable", "other"):                       # a fragment each
        commit.append_table(uri, pa.table({"id": [name], "size": [0]}, schema=SCHEMA))
    commit.index_texts(uri, "id", {"base_tokenizer": "simple"})

    def index_files() -> list[Path]:
        return [file for file in Path(uri, "_indices").rglob("*") if file.is_file()]

    assert index_files()
    commit.erase_rows(uri, ["unforgettable"])
    assert index_files() == []
    assert lance.dataset(uri).to_table()["id"].to_pylist() == ["other"]


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
@pytest.mark.parametrize("workers", [Tasks(2), Actors(2)])
def test_appended_rows_keep_the_order_of_the_chunks(tmp_path: Path, workers: Workers) -> None:
    uri, told = str(tmp_path / "t.lance"), []
    commit.create(uri, SCHEMA)
    chunks = _chunks((0, 3), (3, 5), (5, 9))
    ref = commit.append_rows(uri, SCHEMA, chunks, build=_sizing(), workers=workers, on_commit=told.append)
    assert lance.dataset(uri, version=ref.version).to_table()["size"].to_pylist() == list(range(9))
    assert told == [3, 2, 4]
    assert commit.append_rows(uri, SCHEMA, [], build=_sizing(), workers=workers, on_commit=told.append) == ref


def test_a_column_file_must_hold_every_row_of_its_fragment(table: TableRef) -> None:
    dataset = lance.dataset(commit.add_columns(table, DOUBLED).uri)
    with commit.ColumnFile(dataset, DOUBLED, announce=lambda _: None) as file:
        file.write(pa.table({"doubled": [1, 2], "parts": [[], []]}, schema=DOUBLED))
    with pytest.raises(AssertionError):
        file.replacement(0)


def test_columns_of_two_jobs_are_both_replaced_and_a_second_writer_of_one_is_told(table: TableRef) -> None:
    base = commit.add_columns(table, pa.schema([pa.field("a", pa.int64()), pa.field("b", pa.int64())]))
    dataset = lance.dataset(base.uri)

    def column_file(name: str, first: int) -> commit.Replacement:
        schema = pa.schema([pa.field(name, pa.int64())])
        with commit.ColumnFile(dataset, schema, announce=lambda _: None) as file:
            file.write(pa.table({name: list(range(first, first + 4))}, schema=schema))
        return file.replacement(1)

    version = dataset.version
    assert commit.replace_columns(base.uri, [column_file("a", 10)], read_version=version)
    commit.append_table(base.uri, pa.table({"id": ["late"], "size": [0]}, schema=SCHEMA))
    lance.dataset(base.uri).delete("id = 'r5'")
    assert commit.replace_columns(base.uri, [column_file("b", 20)], read_version=version)
    assert not commit.replace_columns(base.uri, [column_file("a", 30)], read_version=version)
    assert {key: value for key, value in _values(base.uri, "a").items() if value is not None} == {"r4": 10, "r6": 12, "r7": 13}
    assert {key: value for key, value in _values(base.uri, "b").items() if value is not None} == {"r4": 20, "r6": 22, "r7": 23}
