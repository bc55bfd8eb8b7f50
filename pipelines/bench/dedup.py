"""Dedup: how time and memory grow with the number of hashes and of features, and what 10^9 would take.

Hashes and features are synthetic with planted duplicates (`pipelines.bench.synthetic`). Every size runs in a process of its
own, so that peak memory is that of the size; seconds are CPU seconds of that process. The exponent is the slope of log time
over log rows between the two largest sizes; the projection continues it, on one core. Hashes are projected from the way that
is taken from some 3 · 10^7 on, bands combined with each other ("fine"), which is measured beside the way for fewer.
"""

import json
import math
import resource
import subprocess
import sys
import time

import numpy as np

from curation.dedup import bands
from curation.dedup.bands import close_pairs
from curation.dedup.cells import capped_cells, cosines, rounded
from curation.dedup.unions import Unions
from curation.draws import mixed
from infra.settings import CODE_ROOT
from pipelines.bench import synthetic
from pipelines.bench.result import Measured

MAX_BITS = 3
_SIZES = {"hashes": (10**5, 10**6, 10**7), "fine_hashes": (10**6, 10**7), "features": (10**5, 10**6)}
_QUICK = {"hashes": (10**4, 10**5), "fine_hashes": (10**5, 2 * 10**5), "features": (10**4, 3 * 10**4)}
_BILLION = 10**9


def run(*, is_quick: bool) -> Measured:
    """Seconds, peak memory and growth of both kinds of evidence."""
    ours: dict[str, float] = {}
    checks: dict[str, bool] = {}
    for kind, sizes in (_QUICK if is_quick else _SIZES).items():
        found = [_in_own_process(kind, size) for size in sizes]
        for size, one in zip(sizes, found, strict=True):
            ours |= {f"{kind}_{size:.0e}_{name}".replace("e+0", "e"): one[name] for name in ("seconds", "peak_mb", "recall")}
        exponent = math.log(found[-1]["seconds"] / found[-2]["seconds"]) / math.log(sizes[-1] / sizes[-2])
        ours[f"{kind}_growth_exponent"] = exponent
        if kind != "hashes":
            ours[f"{kind}_1e9_hours"] = found[-1]["seconds"] * (_BILLION / sizes[-1]) ** max(exponent, 1) / 3600
        checks[f"{kind}: recall of planted duplicates is at least 0.99"] = all(one["recall"] >= 0.99 for one in found)
        checks[f"{kind}: time grows slower than with the square"] = exponent < 2
    return Measured(ours=ours, peers={}, ratios={}, checks=checks)


def hashes(num: int) -> dict[str, float]:
    """All pairs of hashes up to 3 bits apart, joined into parts."""
    generator = np.random.default_rng(0)
    values = generator.integers(0, 2**64, num, dtype=np.uint64)
    copies = np.arange(num - num // 10, num)
    places = generator.integers(0, num - num // 10, len(copies))
    values[copies] = values[places]
    for _ in range(MAX_BITS):
        values[copies] ^= np.uint64(1) << generator.integers(0, 64, len(copies), dtype=np.uint64)
    began = time.process_time()
    unions = Unions(num)
    for pairs in close_pairs(values, MAX_BITS):
        unions.join(pairs.ours, pairs.theirs)
    seconds = time.process_time() - began
    found = (unions.roots(copies) == unions.roots(places)).mean()
    return {"seconds": seconds, "recall": float(found)}


def fine_hashes(num: int) -> dict[str, float]:
    """The same as many more hashes are worked on."""
    bands.FULL = 1
    return hashes(num)


def features(num: int) -> dict[str, float]:
    """All pairs of 64-wide features that meet in a cell and have a cosine of at least 0.97."""
    vectors = np.concatenate([synthetic.features(start, min(num, start + 10**5)) for start in range(0, num, 10**5)])
    origins = np.concatenate([synthetic.origins(start, min(num, start + 10**5)) for start in range(0, num, 10**5)])
    copies = np.flatnonzero(origins != np.arange(num))
    alike = cosines(copies, origins[copies], vectors.__getitem__, width=synthetic.WIDTH)
    copies = copies[alike >= synthetic.CELLS.cosine]
    began = time.process_time()
    unions = Unions(num)
    for cell in capped_cells(
        np.arange(num), mixed(np.arange(num, dtype=np.uint64)), vectors.__getitem__,
        cap=synthetic.CELLS.rows, probes=synthetic.CELLS.probes, seed=0,
    ):  # fmt: skip
        _join_alike(unions, cell, vectors)
    seconds = time.process_time() - began
    found = (unions.roots(copies) == unions.roots(origins[copies])).mean()
    return {"seconds": seconds, "recall": float(found)}


def _join_alike(unions: Unions, cell: np.ndarray, vectors: np.ndarray) -> None:
    rows = rounded(vectors[cell])
    norms = np.linalg.norm(rows, axis=1)
    ours, theirs = np.nonzero(np.triu(rows @ rows.T >= synthetic.CELLS.cosine * norms[:, None] * norms, k=1))
    unions.join(cell[ours], cell[theirs])


def _in_own_process(kind: str, num: int) -> dict[str, float]:
    code = f"from pipelines.bench import dedup; dedup.report({kind!r}, {num})"
    finished = subprocess.run([sys.executable, "-c", code], cwd=CODE_ROOT, capture_output=True, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])


def report(kind: str, num: int) -> None:
    """Run one size in this process and print what was measured, peak memory of the process included."""
    found = {"hashes": hashes, "fine_hashes": fine_hashes, "features": features}[kind](num)
    print(json.dumps({**found, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
