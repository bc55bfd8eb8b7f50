"""Feed: pictures read shuffled, decoded to 256 px and batched, beside Hugging Face datasets, WebDataset and a torch DataLoader.

All readers are programs of their own that read the same JPEG and PNG files of the generated corpus with two processes and decode
them with one function; each has them in the form it expects: a Lance table, Parquet shards, tar shards, files. The shards are
shuffled and go through a buffer, the table and the files are shuffled whole. They run in turns, from a warm page cache. The rate
is taken once a reader has settled; CPU time, Ray's own included, stands beside it, which load disturbs less.

The second half trains the recipe of the generator on cached latents and says which share of its time it waits for batches.
"""

import json
import logging
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.settings import CODE_ROOT, settings_from_environment
from pipelines.bench.corpus.plan import NUM_FILES
from pipelines.bench.environments import packages_of
from pipelines.bench.feed_forms import write_forms
from pipelines.bench.reading import Read
from pipelines.bench.result import Measured

logger = logging.getLogger(__name__)

REPETITIONS = 3
QUICK_FILES = 400
MOST_WAIT = 0.02
LEAST_STEP_MS = 300

_QUANTITIES = ("samples_per_s", "first_batch_seconds", "cpu_ms_per_sample")

Row = dict[str, float | str]


def run(*, is_quick: bool) -> Measured:
    """Rates of all readers, and the wait of a training; without WebDataset when quick."""
    cache_dir = settings_from_environment().cache_dir
    programs = {"ours": ["pipelines.bench.feed_ours"], "torch": ["pipelines.bench.peers.torch_files"]}
    programs["datasets"] = ["pipelines.bench.peers.hf_datasets"]
    if not is_quick:
        programs["webdataset"] = ["pipelines.bench.peers.webdataset_tars", packages_of("webdataset", cache_dir)]
    cache_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache_dir, prefix="feed-") as scratch:
        place = Path(scratch)
        num_files = write_forms(cache_dir, place, num_files=QUICK_FILES if is_quick else NUM_FILES)
        reads = {
            (name, turn): _read(name, program, place)
            for turn in range(1 if is_quick else REPETITIONS)
            for name, program in programs.items()
        }
        wait = _wait(place, num_steps=15 if is_quick else 60)
    return _measured(reads, wait, num_files=num_files)


def _measured(reads: Mapping[tuple[str, int], Read], wait: Mapping[str, float], *, num_files: int) -> Measured:
    rows: list[Row] = [
        {"reader": name, "turn": turn, **{key: getattr(read, key) for key in _QUANTITIES}} for (name, turn), read in reads.items()
    ]
    names = dict.fromkeys(name for name, _ in reads)
    medians = {name: {key: _median(rows, name, key) for key in _QUANTITIES} for name in names}
    ours = medians.pop("ours")
    ratios = {
        "vs_best_peer": ours["samples_per_s"] / max(peer["samples_per_s"] for peer in medians.values()),
        "cpu_vs_best_peer": min(peer["cpu_ms_per_sample"] for peer in medians.values()) / ours["cpu_ms_per_sample"],
        **{f"vs_{name}": ours["samples_per_s"] / peer["samples_per_s"] for name, peer in medians.items()},
    }
    checks = {
        "every reader gave every picture once": all(len(set(read.ids)) == len(read.ids) == num_files for read in reads.values()),
        "every reader gave the same pixels": len({read.pixel_sum for read in reads.values()}) == 1,
        "no reader kept the order of the files": all(read.ids != sorted(read.ids) for read in reads.values()),
        "ours reads at least as fast as the best peer": ratios["vs_best_peer"] >= 1.0,
        f"a step takes at least {LEAST_STEP_MS} ms": wait["step_ms"] >= LEAST_STEP_MS,
        f"less than {MOST_WAIT:.0%} of a training is waiting for data": wait["data_wait_fraction"] < MOST_WAIT,
    }
    return Measured(ours={**ours, **wait}, peers=medians, ratios=ratios, checks=checks, rows=tuple(rows))


def _median(rows: Sequence[Row], name: str, key: str) -> float:
    return statistics.median(float(row[key]) for row in rows if row["reader"] == name)


def _read(name: str, program: Sequence[str], place: Path) -> Read:
    result = place / "read.json"
    module, *extra = program
    _call([module, str(place), str(result), *extra])
    read = Read(**json.loads(result.read_text()))
    logger.info("read", extra={"reader": name, "samples_per_s": read.samples_per_s, "cpu_ms": read.cpu_ms_per_sample})
    return read


def _wait(place: Path, *, num_steps: int) -> dict[str, float]:
    result = place / "wait.json"
    _call(["pipelines.bench.feed_wait", str(place), str(num_steps), str(result)])
    return json.loads(result.read_text())


def _call(program: Sequence[str]) -> None:
    finished = subprocess.run([sys.executable, "-m", *program], cwd=CODE_ROOT, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(f"{program[0]} ended with {finished.returncode}: {finished.stderr[-2_000:]}")
