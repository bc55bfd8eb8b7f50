"""A column filled in, killed with -9 half way and run again: what is computed twice, what is lost, what is left lying about.

Ours is `curation.backfill`; beside it stands ``lance_ray.add_columns``, which commits once, at the very end. Both fill the same
table through the same slow function, which notes every row that it computed. The whole process tree is killed, then the same
program runs to its end.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import lance
import psutil
import pyarrow as pa

from curation import commit
from curation.backfill import backfill
from curation.signals.contract import Batch, Compute, Signal
from curation.tables import TableRef, pin
from curation.workers import Actors
from infra.errors import UserError
from infra.session import start_ray
from infra.settings import CODE_ROOT, settings_from_environment
from pipelines.bench.result import Measured

Way = Literal["seedbed", "lance_ray"]

_ROWS = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("size", pa.int64(), nullable=False)])
_VALUES = pa.schema([pa.field("doubled", pa.int64())])
_WORKERS, _BATCH_ROWS, _FRAGMENTS = 2, 16, 8
_PATIENCE_S = 240


class Found(NamedTuple):
    """What one way left behind."""

    recomputed_rows: int
    """Computations beyond one a row."""
    duplicates: int
    missing: int
    orphan_bytes: int
    """Bytes of data files that no version of the table knows."""
    seconds: float
    """Both runs together."""


def run(*, is_quick: bool) -> Measured:
    """Kill and repeat, both ways."""
    num_rows, row_s = (640, 0.02) if is_quick else (3200, 0.02)
    ways: tuple[Way, ...] = ("seedbed", "lance_ray")
    with tempfile.TemporaryDirectory(prefix="seedbed-backfill-") as folder:
        ours, theirs = (_killed_and_repeated(way, Path(folder) / way, num_rows=num_rows, row_s=row_s) for way in ways)
    most = _WORKERS * _BATCH_ROWS
    return Measured(
        ours={**_numbers(ours), "rows": num_rows, "rows_in_a_batch": _BATCH_ROWS, "workers": _WORKERS},
        peers={"lance_ray.add_columns": {**_numbers(theirs), "rows": num_rows, "rows_in_a_batch": 0, "workers": _WORKERS}},
        ratios={"recomputed": theirs.recomputed_rows / max(1, ours.recomputed_rows), "seconds": theirs.seconds / ours.seconds},
        checks={
            f"at most a batch a worker is computed again ({most} rows)": ours.recomputed_rows <= most,
            "nothing twice in the table, nothing missing": ours.duplicates == ours.missing == 0,
            "no orphans": ours.orphan_bytes == 0,
        },
    )


def fill(way: Way, place: Path, row_s: float) -> None:
    """Fill the column; what the killed program and its successor run."""
    uri, compute = str(place / "table.lance"), partial(doubled, place / "log", row_s)
    start_ray(settings_from_environment(root=str(place)))
    match way:
        case "seedbed":
            signal = Signal(
                name="doubled", version="v1", inputs=("size",), outputs=_VALUES, build=partial(_as_signal, compute),
                batch_rows=_BATCH_ROWS,
            )  # fmt: skip
            backfill(pin(TableRef(uri=uri)), [signal], workers=Actors(_WORKERS), on_commit=lambda _: None)
        case "lance_ray":
            import lance_ray

            lance_ray.add_columns(uri, transform=compute, read_columns=["size"], batch_size=_BATCH_ROWS, concurrency=_WORKERS)


def doubled(log: Path, row_s: float, rows: pa.RecordBatch) -> pa.RecordBatch:
    """Twice the size of every row, slowly; a line in this process's log for each."""
    with (log / f"{os.getpid()}").open("a", buffering=1) as file:
        for size in rows["size"].to_pylist():
            time.sleep(row_s)
            file.write(f"{size}\n")
    return pa.record_batch({"doubled": pa.array([2 * size for size in rows["size"].to_pylist()], pa.int64())})


def _as_signal(compute: partial) -> Compute:
    return partial(_of_batch, compute)


def _of_batch(compute: partial, batch: Batch) -> dict[str, pa.Array]:
    (whole,) = batch.rows.combine_chunks().to_batches()
    return {"doubled": compute(whole)["doubled"]}


def _killed_and_repeated(way: Way, place: Path, *, num_rows: int, row_s: float) -> Found:
    (place / "log").mkdir(parents=True)
    uri, size = commit.create(str(place / "table.lance"), _ROWS).uri, num_rows // _FRAGMENTS
    for first in range(0, num_rows, size):
        sizes = range(first, first + size)
        commit.append_table(uri, pa.table({"id": [f"r{one}" for one in sizes], "size": list(sizes)}, schema=_ROWS))
    began = time.monotonic()
    _kill_at_half(_start(way, place, row_s), place, num_rows=num_rows)
    if (code := _start(way, place, row_s).wait(_PATIENCE_S)) != 0:
        raise UserError(f"the repeated run of {way} ended with {code}: {(place / 'output').read_text()[-500:]}")
    return _found(place, num_rows=num_rows, seconds=time.monotonic() - began)


def _start(way: Way, place: Path, row_s: float) -> subprocess.Popen[bytes]:
    program = f"from pathlib import Path; from pipelines.bench.backfill import fill; fill({way!r}, Path({str(place)!r}), {row_s})"
    with (place / "output").open("ab") as output:
        return subprocess.Popen([sys.executable, "-c", program], cwd=CODE_ROOT, stdout=output, stderr=output)


def _kill_at_half(process: subprocess.Popen[bytes], place: Path, *, num_rows: int) -> None:
    """SIGKILL for the program and everything it started, once half of the rows are computed."""
    deadline = time.monotonic() + _PATIENCE_S
    while sum(_computed(place).values()) < num_rows // 2:
        if process.poll() is not None or time.monotonic() > deadline:
            raise UserError(f"half of the rows were never reached: {(place / 'output').read_text()[-500:]}")
        time.sleep(0.02)
    tree = [*psutil.Process(process.pid).children(recursive=True), process]
    for one in tree:
        one.kill()
    process.wait()
    psutil.wait_procs([one for one in tree if isinstance(one, psutil.Process)], timeout=30)


def _computed(place: Path) -> Counter[str]:
    return Counter(line for log in (place / "log").iterdir() for line in log.read_text().splitlines())


def _found(place: Path, *, num_rows: int, seconds: float) -> Found:
    dataset = lance.dataset(str(place / "table.lance"))
    values = dataset.to_table(columns=["id", "size", "doubled"]).to_pylist()
    versions = [lance.dataset(dataset.uri, version=entry["version"]) for entry in dataset.versions()]
    known = {file.path for version in versions for fragment in version.get_fragments() for file in fragment.data_files()}
    files = (place / "table.lance" / "data").iterdir()
    return Found(
        recomputed_rows=sum(_computed(place).values()) - num_rows,
        duplicates=len(values) - len({row["id"] for row in values}),
        missing=num_rows - sum(row["doubled"] == 2 * row["size"] for row in values),
        orphan_bytes=sum(file.stat().st_size for file in files if file.name not in known),
        seconds=seconds,
    )


def _numbers(found: Found) -> dict[str, float]:
    return {name: float(value) for name, value in found._asdict().items()}
