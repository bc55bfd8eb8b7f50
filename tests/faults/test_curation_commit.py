"""Two hundred kills around commits: nothing is lost, nothing is there twice, and no batch is computed more often than it died."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import lance
import pyarrow as pa
import pytest

from curation.backfill import STALE_S, tidy
from curation.signals.contract import Batch, Compute, Signal
from infra.settings import CODE_ROOT

NUM_KILLS = 200
ROWS_PER_FRAGMENT, BATCH_ROWS = 6, 3
LIFE_LIMIT_S = 120
VALUES = pa.schema([pa.field("doubled", pa.int64())])

VICTIM = """
import sys
from pathlib import Path
import lance
import pyarrow as pa
from curation import commit
from curation.computing import FragmentFiller
from curation.signals.contract import Signal
from curation.tables import TableRef

uri, log, num_fragments, rows_per_fragment, batch_rows = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:6])
schema = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("size", pa.int64(), nullable=False)])

def compute(batch):
    sizes = batch.rows["size"].to_pylist()
    with log.open("a") as file:
        file.write("".join(f"{size}\\n" for size in sizes))
    return {"doubled": pa.array([2 * size for size in sizes])}

signal = Signal(name="doubled", version="v1", inputs=("size",), outputs=pa.schema([pa.field("doubled", pa.int64())]),
                build=lambda: compute, batch_rows=batch_rows)
commit.create(uri, schema)
commit.add_columns(TableRef(uri=uri, version=lance.dataset(uri).version), signal.schema)
print("ready", flush=True)
for index in range(num_fragments):
    sizes = range(index * rows_per_fragment, (index + 1) * rows_per_fragment)
    commit.append_table(uri, pa.table({"id": [f"r{size}" for size in sizes], "size": list(sizes)}, schema=schema))
    dataset = lance.dataset(uri)
    for fragment in dataset.get_fragments():
        filler = FragmentFiller(dataset, fragment, lambda one: one.build(), among=None, where=None)
        for filled in filler.fill([signal]):
            commit.replace_columns(uri, [filled.replacement], read_version=dataset.version)
print("done", flush=True)
"""


def _life(arguments: list[str], *, kill_after_s: float | None) -> bool:
    """One run of the victim; whether it came to its end before it was killed."""
    process = subprocess.Popen([sys.executable, "-c", VICTIM, *arguments], cwd=CODE_ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        if kill_after_s is None:
            assert process.wait(LIFE_LIMIT_S) == 0
        else:
            time.sleep(kill_after_s)
        process.kill()
        return process.stdout.read().endswith("done\n")
    finally:
        process.wait()
        process.stdout.close()


@pytest.mark.slow
def test_kills_at_commits_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """Each life is killed within 60 ms of beginning to append and commit, which is a few commits."""
    uri, log, draws = str(tmp_path / "t.lance"), tmp_path / "computed", random.Random(0)
    num_fragments = 60
    arguments = [uri, str(log), str(num_fragments), str(ROWS_PER_FRAGMENT), str(BATCH_ROWS)]
    num_kills = sum(not _life(arguments, kill_after_s=draws.uniform(0, 0.06)) for _ in range(NUM_KILLS))
    assert num_kills == NUM_KILLS, "some lives came to their end before they were killed; give them more to do"
    _life(arguments, kill_after_s=None)
    num_rows = num_fragments * ROWS_PER_FRAGMENT
    rows = lance.dataset(uri).to_table(columns=["id", "size", "doubled"]).to_pylist()
    assert Counter(row["id"] for row in rows) == Counter(f"r{size}" for size in range(num_rows))
    assert all(row["doubled"] == 2 * row["size"] for row in rows)
    computed = Counter(log.read_text().split())
    assert set(computed) == {str(size) for size in range(num_rows)}
    assert sum(computed.values()) - num_rows <= NUM_KILLS * BATCH_ROWS
    long_ago = time.time() - 2 * STALE_S
    for unfinished in Path(uri, "data").glob(".tmp*"):
        os.utime(unfinished, (long_ago, long_ago))
    tidy(uri, [_signal()])
    assert _orphans(uri) == set()


def _signal() -> Signal:
    def build() -> Compute:
        def compute(batch: Batch) -> dict[str, pa.Array]:
            return {"doubled": batch.rows["size"]}

        return compute

    return Signal(name="doubled", version="v1", inputs=("size",), outputs=VALUES, build=build)


def _orphans(uri: str) -> set[str]:
    """Column files that no version of the table knows; files of an append that was killed before its commit are Lance's own."""
    dataset = lance.dataset(uri)
    versions = [lance.dataset(uri, version=entry["version"]) for entry in dataset.versions()]
    known = {file.path for version in versions for fragment in version.get_fragments() for file in fragment.data_files()}
    columns = {path.name for path in Path(uri, "data").iterdir() if "doubled" in _columns_of(path)}
    return columns - known


def _columns_of(path: Path) -> list[str]:
    from lance.file import LanceFileReader

    try:
        return LanceFileReader(str(path)).metadata().schema.names
    except (OSError, ValueError):
        return ["doubled"] if path.stat().st_size else []  # cut short by the kill

