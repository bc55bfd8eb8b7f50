"""Curation from files to decisions, beside Data-Juicer, img2dataset, cleanvision and Daft, on a corpus whose truth is known.

Every tool runs as a program of its own with two workers, on the same files from a warm page cache, in turns. What counts is CPU
time of the whole tree of its processes, which load disturbs least, and how right it was.

* Ours: fifteen measurements of each picture into a Lance table, decisions on duplicates and filters, on a local Ray of two
  workers. It is compared with each peer's smaller piece of the work. `ours, stored` does the same with the pictures copied into
  the table, as the jobs do; `ours, ingest`, two plain processes, fetches, checks, shrinks, encodes and stores.
* Daft: read, decode, perceptual hash, Parquet. Data-Juicer: three filters and deduplication by hash, without ``op_fusion``, which
  it documents as an optimisation and which took twice the time and 9 GB in earlier trials. cleanvision: its nine checks, on the
  whole files only, since one bad file ends it. img2dataset: fetch from a local server, shrink to 256 px, encode, tar.

Each tool also runs on a few files. The difference gives its time a picture (`cpu_ms_per_image`); what is left is its fixed start
(`start_cpu_s`: imports, processes, Ray). Ratios compare times a picture without anybody's start; those with it stand beside them.
"""

import json
import logging
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from infra.errors import UserError
from infra.settings import CODE_ROOT, settings_from_environment
from pipelines.bench.corpus.plan import NUM_FILES, SEED
from pipelines.bench.corpus.render import DIGEST, Truth, make_corpus
from pipelines.bench.curate_score import Filters, Reported, score
from pipelines.bench.environments import PEERS_DIR, peer_python
from pipelines.bench.result import Measured
from pipelines.bench.tree import Spent, spent_by

logger = logging.getLogger(__name__)

REPETITIONS = 3
QUICK_FILES = 800
FEW_FILES = 400
"""Files that a tool's fixed start is told by: enough for every worker to have had some."""

FILTERS = Filters(min_side_px=256, max_aspect=4.0, min_bytes=5_000)

Row = dict[str, float | str]


class Tool(NamedTuple):
    """One program of the comparison."""

    name: str
    command: tuple[str, ...]
    reads: str
    """"files", "whole files" (the bad ones left out), or "urls"."""


class Input(NamedTuple):
    """What the tools read."""

    truth: Truth
    places: Mapping[str, Path]
    """By `Tool.reads`."""

    def num_files(self, tool: Tool) -> int:
        """Files that the tool is given."""
        return len(self.truth.clean) if tool.reads == "whole files" else len(self.truth.files)


OURS = Tool("ours", (sys.executable, "-m", "pipelines.bench.curate_ours", "fused"), "files")
STORED = Tool("ours, stored", (sys.executable, "-m", "pipelines.bench.curate_ours", "stored"), "files")
INGEST = Tool("ours, ingest", (sys.executable, "-m", "pipelines.bench.ingest_ours"), "urls")
RAY = Tool("ray alone", (sys.executable, "-m", "pipelines.bench.ray_alone"), "files")
_AGAINST = {"data-juicer": OURS, "img2dataset": INGEST, "daft": OURS, "cleanvision": OURS}
"""The program of ours that each peer is compared with."""


def run(*, is_quick: bool) -> Measured:
    """CPU time a picture, memory and correctness of ours and, unless quick, of the peers."""
    cache_dir = settings_from_environment().cache_dir
    tools = [OURS] if is_quick else [OURS, STORED, INGEST, RAY, *_peers(cache_dir)]
    with _inputs(cache_dir, QUICK_FILES if is_quick else NUM_FILES) as whole, _inputs(cache_dir, FEW_FILES) as few:
        small = [_row(tool, few, cache_dir) for tool in tools for _ in range(2)][1::2]  # the first run warms caches and bytecode
        rows = [_row(tool, whole, cache_dir) for _ in range(1 if is_quick else REPETITIONS) for tool in tools]
        summaries = {
            tool.name: _summary([row for row in rows if row["tool"] == tool.name], one)
            for tool, one in zip(tools, small, strict=True)
        }
        digest = whole.truth.digest
    ours = summaries.pop(OURS.name)
    checks = _checks_of_correctness(ours)
    if not is_quick:
        ours["ray_rss_mb"] = summaries.pop(RAY.name)["peak_rss_mb"]
        checks |= {"the corpus is the one that was fixed": digest == DIGEST} | _checks_of_cost(ours)
    ratios = _ratios({OURS.name: ours} | summaries)
    checks |= _checks_of_ratios(ratios)
    return Measured(ours=ours, peers=summaries, ratios=ratios, checks=checks, rows=(*small, *rows))


def _peers(cache_dir: Path) -> list[Tool]:
    def program(name: str, script: str) -> tuple[str, ...]:
        return str(peer_python(name, cache_dir)), str(PEERS_DIR / script)

    return [
        Tool("daft", program("daft", "daft_hash.py"), "files"),
        Tool("img2dataset", program("img2dataset", "img2dataset_ingest.py"), "urls"),
        Tool("data-juicer", program("data-juicer", "data_juicer_filter.py"), "files"),
        Tool("cleanvision", program("cleanvision", "cleanvision_issues.py"), "whole files"),
    ]


@contextmanager
def _inputs(cache_dir: Path, num_files: int) -> Iterator[Input]:
    """The corpus as files in the page cache, as whole files only, and as URLs of a server that runs meanwhile."""
    folder, truth = make_corpus(cache_dir, num_files=num_files, seed=SEED)
    for one in truth.files:
        (folder / one.name).read_bytes()
    with TemporaryDirectory(dir=cache_dir) as scratch, _served(folder) as address:
        whole, urls = Path(scratch, "whole"), Path(scratch, "urls.txt")
        whole.mkdir()
        for name in truth.clean:
            (whole / name).symlink_to(folder / name)
        urls.write_text("".join(f"{address}/{one.name}\n" for one in truth.files))
        yield Input(truth, {"files": folder, "whole files": whole, "urls": urls})


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """A server of the folder on this machine, for as long as it is held; gives its address."""
    command = [sys.executable, "-m", "pipelines.bench.server", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CODE_ROOT) as server:
        assert server.stdout is not None, command
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def _row(tool: Tool, given: Input, cache_dir: Path) -> Row:
    """One run of one tool.

    Raises:
        UserError: the tool failed.
    """
    with TemporaryDirectory(dir=cache_dir) as scratch:
        result = Path(scratch, "result.json")
        place = given.places[tool.reads]
        spent: Spent = spent_by([*tool.command, str(place), str(result)], log=Path(scratch, "log"))
        if spent.exit_code or not result.exists():
            last = spent.said.strip().splitlines()[-1:] or [""]
            raise UserError(f"{tool.name} ended with {spent.exit_code}: {last[0]}")
        reported = Reported.model_validate(json.loads(result.read_text()))
    scores = score(reported, given.truth, given.places["files"], filters=FILTERS)
    if tool.reads == "whole files":
        scores = {name: value for name, value in scores.items() if not name.startswith("bad")}
    costs = {"cpu_s": spent.cpu_s, "wall_s": spent.wall_s, "peak_rss_mb": spent.peak_rss_mb}
    row: Row = {"tool": tool.name, "num_files": given.num_files(tool), **costs, **scores}
    logger.info("measured", extra={"row": row})
    return row


def _summary(rows: Sequence[Row], few: Row) -> dict[str, float]:
    """Medians over the repetitions; the fixed start is told by the run on a few files."""

    def median(name: str) -> float:
        return statistics.median(float(row[name]) for row in rows)

    num_files, num_few = float(rows[0]["num_files"]), float(few["num_files"])
    each_s = (median("cpu_s") - float(few["cpu_s"])) / (num_files - num_few)
    costs = {
        "cpu_ms_per_image": each_s * 1000,
        "start_cpu_s": float(few["cpu_s"]) - num_few * each_s,
        "cpu_ms_with_start": median("cpu_s") / num_files * 1000,
        "peak_rss_mb": median("peak_rss_mb"),
    }
    scored = [name for name in rows[0] if name not in ("tool", "num_files", "cpu_s", "wall_s", "peak_rss_mb")]
    return costs | {name: median(name) for name in scored}


def _ratios(summaries: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    ratios: dict[str, float] = {}
    for peer, against in _AGAINST.items():
        if peer in summaries:
            theirs, ours = summaries[peer], summaries[against.name]
            name = f"cpu_vs_{peer.replace('-', '_')}"
            ratios[name] = theirs["cpu_ms_per_image"] / ours["cpu_ms_per_image"]
            ratios[f"{name}_with_start"] = theirs["cpu_ms_with_start"] / ours["cpu_ms_with_start"]
    return ratios


def _checks_of_correctness(ours: Mapping[str, float]) -> dict[str, bool]:
    return {
        "all bad files are found": ours["bad_found"] == ours["bad_total"],
        "no good file is refused": ours["false_rejects"] == 0,
        "near duplicates: recall of 0.99 at precision of 0.95": (
            ours["near_dup_recall"] >= 0.99 and ours.get("near_dup_precision", 0.0) >= 0.95
        ),
        "filters lose no picture, leave no duplicate": ours["lost_pictures"] == 0 and ours["left_duplicates"] == 0,
    }


def _checks_of_cost(ours: Mapping[str, float]) -> dict[str, bool]:
    return {
        "at most 4.5 ms of CPU a picture": ours["cpu_ms_per_image"] <= 4.5,
        "less than 1 GB of memory beyond Ray's own": ours["peak_rss_mb"] - ours["ray_rss_mb"] < 1000,
    }


def _checks_of_ratios(ratios: Mapping[str, float]) -> dict[str, bool]:
    floors: dict[str, float] = {"cpu_vs_data_juicer": 4.0, "cpu_vs_img2dataset": 1.5, "cpu_vs_daft": 1.5}
    return {f"{name} of at least {floor:g}": ratios[name] >= floor for name, floor in floors.items() if name in ratios}
