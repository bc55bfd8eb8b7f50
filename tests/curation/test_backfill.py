"""Columns are filled once, row by row if need be, whatever happens to the workers."""

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path

import lance
import pyarrow as pa
import pytest

from curation import commit
from curation.backfill import STALE_S, Backfilled, Rows, backfill, num_todo, tidy
from curation.computing import FragmentFiller
from curation.signals.contract import Batch, Compute, Signal
from curation.staging import SUFFIX
from curation.tables import TableRef, pin_rows
from curation.workers import Actors

SCHEMA = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("size", pa.int64(), nullable=False)])
DOUBLED = pa.schema([pa.field("doubled", pa.int64()), pa.field("parts", pa.list_(pa.string()))])

Accident = Callable[[int], None]
"""Told each size before it is doubled."""


@pytest.fixture
def table(tmp_path: Path) -> TableRef:
    """Three fragments of ten rows."""
    uri = str(tmp_path / "t.lance")
    commit.create(uri, SCHEMA)
    return [commit.append_table(uri, _rows(range(start, start + 10))) for start in (0, 10, 20)][-1]


def _rows(sizes: range) -> pa.Table:
    return pa.table({"id": [f"r{size}" for size in sizes], "size": list(sizes)}, schema=SCHEMA)


def doubling(log: Path, accident: Accident = lambda _: None, *, version: str = "v1", row_timeout_s: float = 60.0) -> Signal:
    """Doubles `size` four rows at a time, notes each row it finished, and has accidents."""

    def compute(batch: Batch) -> dict[str, pa.Array]:
        sizes = batch.rows["size"].to_pylist()
        for size in sizes:
            accident(size)
        for size in sizes:
            with (log / f"computed-{size}").open("a") as file:
                file.write("x")
        parts = pa.array([[str(size)] * (size % 3) for size in sizes], pa.list_(pa.string()))
        return {"doubled": pa.array([2 * size for size in sizes]), "parts": parts}

    def build() -> Compute:
        return compute

    return Signal(
        name="doubled", version=version, inputs=("size",), outputs=DOUBLED, build=build, batch_rows=4, row_timeout_s=row_timeout_s
    )


def fill_here(ref: TableRef, signal: Signal, *, fragment_ids: tuple[int, ...] = (0, 1, 2), rows: Rows | None = None) -> list:
    """What the workers do, without any."""
    commit.add_columns(ref, signal.schema)
    limits = rows or Rows()
    done = []
    for fragment_id in fragment_ids:
        dataset = lance.dataset(ref.uri)
        fragment = dataset.get_fragment(fragment_id)
        assert fragment is not None
        filler = FragmentFiller(dataset, fragment, lambda one: one.build(), among=limits.among, where=limits.where)
        filled = filler.fill([signal])
        assert commit.replace_columns(ref.uri, [one.replacement for one in filled], read_version=dataset.version)
        done += filled
    return done


def fill(ref: TableRef, signal: Signal, *, told: list[int] | None = None) -> Backfilled:
    return backfill(ref, [signal], workers=Actors(2), on_commit=(told if told is not None else []).append)


def values(uri: str, column: str = "doubled") -> dict[str, object]:
    return {row["id"]: row[column] for row in lance.dataset(uri).to_table(columns=["id", column]).to_pylist()}


def times_computed(log: Path) -> dict[int, int]:
    return {int(path.name.removeprefix("computed-")): len(path.read_text()) for path in log.glob("computed-*")}


def test_every_row_gets_its_values_and_the_version_under_which_they_were_made(table: TableRef, tmp_path: Path) -> None:
    fill_here(table, doubling(tmp_path))
    assert values(table.uri) == {f"r{i}": 2 * i for i in range(30)}
    assert values(table.uri, "parts") == {f"r{i}": [str(i)] * (i % 3) for i in range(30)}
    assert set(values(table.uri, "doubled_version").values()) == {"v1"}
    assert set(times_computed(tmp_path).values()) == {1}


def test_another_version_computes_again_and_the_same_one_does_not(table: TableRef, tmp_path: Path) -> None:
    fill_here(table, doubling(tmp_path))
    assert num_todo(table, [doubling(tmp_path)]) == 0
    assert num_todo(table, [doubling(tmp_path, version="v2")]) == 30
    fill_here(table, doubling(tmp_path, version="v2"))
    assert set(times_computed(tmp_path).values()) == {2}


def test_a_version_with_more_columns_begins_anew(table: TableRef, tmp_path: Path) -> None:
    fill_here(table, doubling(tmp_path))

    def compute(batch: Batch) -> dict[str, pa.Array]:
        sizes = batch.rows["size"].combine_chunks()
        return {"doubled": sizes, "parts": pa.nulls(len(sizes), pa.list_(pa.string())), "size_again": sizes}

    outputs = pa.schema([*DOUBLED, pa.field("size_again", pa.int64())])
    wider = doubling(tmp_path)._replace(version="v2", outputs=outputs, build=lambda: compute)
    assert num_todo(table, [wider]) == 30
    fill_here(table, wider)
    assert values(table.uri) == values(table.uri, "size_again") == {f"r{i}": i for i in range(30)}
    assert set(values(table.uri, "doubled_version").values()) == {"v2"}
    assert num_todo(table, [wider]) == 0


def test_a_limit_leaves_other_rows_as_they_are(table: TableRef, tmp_path: Path) -> None:
    fill_here(table, doubling(tmp_path), fragment_ids=(0,), rows=Rows(among=frozenset({"r3", "r9", "r15"})))
    assert {key: value for key, value in values(table.uri).items() if value is not None} == {"r3": 6, "r9": 18}
    fill_here(table, doubling(tmp_path), fragment_ids=(0, 1), rows=Rows(where="size % 2 = 1"))
    assert {key for key, value in values(table.uri).items() if value is not None} == {f"r{i}" for i in range(1, 20, 2)}
    assert set(times_computed(tmp_path).values()) == {1}


def test_deleted_rows_are_passed_over_and_rows_behind_them_keep_their_values(table: TableRef, tmp_path: Path) -> None:
    lance.dataset(table.uri).delete("size IN (0, 5, 6, 13)")
    fill_here(table, doubling(tmp_path))
    assert values(table.uri) == {f"r{i}": 2 * i for i in range(30) if i not in (0, 5, 6, 13)}
    assert set(times_computed(tmp_path)) == set(range(30)) - {0, 5, 6, 13}


def test_a_row_that_raises_costs_that_row_and_says_why(table: TableRef, tmp_path: Path) -> None:
    def accident(size: int) -> None:
        if size == 6:
            raise OSError("the disk\nwent away")

    (first, *_) = fill_here(table, doubling(tmp_path, accident))
    assert (first.num_rows, first.num_failed) == (10, 1)
    assert {key: value for key, value in values(table.uri, "doubled_error").items() if value} == {
        "r6": "failed: OSError: the disk went away"
    }
    assert values(table.uri) == {f"r{i}": None if i == 6 else 2 * i for i in range(30)}
    assert num_todo(table, [doubling(tmp_path)]) == 0, "a row that was set aside is done under this version"


def test_batches_that_were_finished_before_a_death_are_not_computed_again(table: TableRef, tmp_path: Path) -> None:
    class Death(BaseException):
        """Nobody catches this, like a kill."""

    def accident(size: int) -> None:
        if size == 9 and not (tmp_path / "risen").exists():
            raise Death

    with pytest.raises(Death):
        fill_here(table, doubling(tmp_path, accident), fragment_ids=(0,))
    (tmp_path / "risen").touch()
    assert set(times_computed(tmp_path)) == set(range(8))
    (filled,) = fill_here(table, doubling(tmp_path, accident), fragment_ids=(0,))
    assert filled.num_reused == 8
    assert set(times_computed(tmp_path).values()) == {1}
    assert [values(table.uri)[f"r{i}"] for i in range(10)] == [2 * i for i in range(10)]


def test_a_column_file_that_was_never_committed_is_removed(table: TableRef, tmp_path: Path) -> None:
    signal = doubling(tmp_path)
    commit.add_columns(table, signal.schema)
    dataset = lance.dataset(table.uri)
    fragment = dataset.get_fragment(0)
    assert fragment is not None
    FragmentFiller(dataset, fragment, lambda one: one.build(), among=None, where=None).fill([signal])  # and then the driver died
    orphan = set((tmp_path / "t.lance" / "data").iterdir())
    (filled, *_) = fill_here(table, signal)
    assert filled.num_reused == 10
    left = set((tmp_path / "t.lance" / "data").iterdir())
    assert tidy(table.uri, [signal]) > 0
    referenced = {file.path for one in lance.dataset(table.uri).get_fragments() for file in one.data_files()}
    assert {path.name for path in (tmp_path / "t.lance" / "data").iterdir()} == referenced
    assert len(left - orphan) == 3
    assert not list((tmp_path / f"t.lance{SUFFIX}").rglob("*.arrow"))


def test_files_that_lance_never_finished_go_when_nobody_writes_to_them_any_more(table: TableRef, tmp_path: Path) -> None:
    stale, fresh = (tmp_path / "t.lance" / "data" / name for name in (".tmpStale", ".tmpFresh"))
    for file in (stale, fresh):
        file.write_bytes(b"half")
    long_ago = time.time() - 2 * STALE_S
    os.utime(stale, (long_ago, long_ago))
    assert tidy(table.uri, []) == 4
    assert (stale.exists(), fresh.exists()) == (False, True)


def test_a_job_is_pinned_to_the_rows_and_not_to_columns_filled_since(table: TableRef, tmp_path: Path) -> None:
    newest = TableRef(uri=table.uri)
    assert pin_rows(newest) == table
    fill_here(table, doubling(tmp_path))
    assert pin_rows(newest) == table
    appended = commit.append_table(table.uri, _rows(range(30, 33)))
    fill_here(table, doubling(tmp_path, version="v2"))
    assert pin_rows(newest) == appended
    lance.dataset(table.uri).delete("size = 4")
    assert pin_rows(newest).version == lance.dataset(table.uri).version


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_rows_appended_later_are_filled_by_the_next_run(table: TableRef, tmp_path: Path) -> None:
    told: list[int] = []
    done = fill(table, doubling(tmp_path), told=told)
    assert (done.num_rows, done.num_failed, sum(told)) == (30, 0, 30)
    assert done.cpu_s["doubled"] >= 0
    assert done.num_computed == {"read": 30, "doubled": 30}
    assert done.num_bytes >= 30 * 8, "sizes are eight bytes a row"
    appended = commit.append_table(table.uri, _rows(range(30, 33)))
    assert fill(table, doubling(tmp_path)).num_rows == 0, "the older version does not name them"
    assert fill(appended, doubling(tmp_path)).num_rows == 3
    assert values(table.uri) == {f"r{i}": 2 * i for i in range(33)}
    assert set(times_computed(tmp_path).values()) == {1}


def segfault(log: Path) -> Accident:
    """Reads from address 0 over one size, every time."""

    def accident(size: int) -> None:
        if size == 17:
            with (log / "deaths").open("a") as file:
                file.write("x")
            ctypes.string_at(0)

    return accident


def hang(log: Path) -> Accident:
    """Sleeps over one size, every time."""

    def accident(size: int) -> None:
        if size == 17:
            with (log / "deaths").open("a") as file:
                file.write("x")
            time.sleep(600)

    return accident


def vanish_once(log: Path) -> Accident:
    """Ends the worker over one size, the first time."""

    def accident(size: int) -> None:
        if size == 17 and not (log / "deaths").exists():
            (log / "deaths").touch()
            os._exit(1)

    return accident


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("poison", [segfault, hang])
def test_a_row_that_takes_its_worker_with_it_costs_that_row(
    table: TableRef, tmp_path: Path, poison: Callable[[Path], Accident]
) -> None:
    done = fill(table, doubling(tmp_path, poison(tmp_path), row_timeout_s=0.5))
    assert (done.num_rows, done.num_failed) == (30, 1)
    assert values(table.uri) == {f"r{i}": None if i == 17 else 2 * i for i in range(30)}
    assert str(values(table.uri, "doubled_error")["r17"]).startswith("crashed: the worker died 2 times over this row")
    assert (tmp_path / "deaths").read_text() == "xxx"
    assert {size for size, times in times_computed(tmp_path).items() if times != 1} == set()


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_worker_that_died_once_costs_no_row(table: TableRef, tmp_path: Path) -> None:
    done = fill(table, doubling(tmp_path, vanish_once(tmp_path)))
    assert (done.num_rows, done.num_failed) == (30, 0)
    assert values(table.uri) == {f"r{i}": 2 * i for i in range(30)}
