"""Our side of the curation benchmark: all of `curation.signals.pictures` into a Lance table, then duplicates and filters.

A program of its own, so that it is measured like the peers: ``python -m pipelines.bench.curate_ours FOLDER RESULT``. One run
does the work of Daft's, Data-Juicer's and cleanvision's legs together. Two worker processes; Ray is not part of it.

n pictures · p pairs
"""

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int64, UInt64

from curation.signals.fingerprints import centred
from curation.signals.pictures import PICTURES_SCHEMA, measure_pictures
from pipelines.bench.workers import spread, stored

BATCH_FILES = 32

NEAR_BITS = 8
"""Most bits in which near duplicates' hashes differ."""
NEAR_CORRELATION = 0.985
"""Least correlation of their thumbnails."""

MIN_SIDE_PX, MAX_ASPECT, MIN_BYTES = 256, 4.0, 5_000
"""The filters of the leg."""

_ROWS_SCHEMA = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("num_bytes", pa.int64()), *PICTURES_SCHEMA])


class _Columns(NamedTuple):
    """What duplicates and filters are decided by, for the pictures that were measured."""

    names: list[str]
    hashes: UInt64[np.ndarray, "n"]
    thumbnails: Float32[np.ndarray, "n 256"]
    copies: Int64[np.ndarray, "n"]
    """Number of the file's content; equal for copies."""
    is_eligible: Bool[np.ndarray, "n"]
    pixels: Int64[np.ndarray, "n"]


def measure(folder: Path, result: Path) -> None:
    """Measure, store and decide; writes which files are good, refused, duplicates, and kept."""
    names = sorted(path.name for path in folder.iterdir())
    with TemporaryDirectory(dir=result.parent) as scratch:
        table = stored(spread(partial(measured_rows, folder), names, size=BATCH_FILES), _ROWS_SCHEMA, f"{scratch}/rows.lance")
    good = table.filter(table["refusal"].is_null())
    bad = table.filter(table["refusal"].is_valid())
    columns = _columns(good)
    ours, theirs = near_pairs(columns.hashes, columns.thumbnails)
    differs = columns.copies[ours] != columns.copies[theirs]
    found = {
        "good": columns.names,
        "refused": dict(zip(bad["id"].to_pylist(), bad["refusal"].to_pylist(), strict=True)),
        "pairs": [[columns.names[a], columns.names[b]] for a, b in zip(ours[differs], theirs[differs], strict=True)],
        "kept": [columns.names[row] for row in _kept(columns, ours, theirs)],
    }
    result.write_text(json.dumps(found))


def measured_rows(folder: Path, names: Sequence[str]) -> pa.Table:
    """Rows of the files of a batch."""
    contents = [(folder / name).read_bytes() for name in names]
    columns = {"id": pa.array(names), "num_bytes": pa.array([len(content) for content in contents], pa.int64())}
    return pa.table(columns | measure_pictures(contents), schema=_ROWS_SCHEMA)


def near_pairs(
    hashes: UInt64[np.ndarray, "n"], thumbnails: Float32[np.ndarray, "n 256"], *, block: int = 512
) -> tuple[Int64[np.ndarray, "p"], Int64[np.ndarray, "p"]]:
    """All pairs with hashes that differ in few bits and thumbnails that correlate; every pair is looked at."""
    unit = thumbnails / np.maximum(np.linalg.norm(thumbnails, axis=1, keepdims=True), 1e-6)
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(hashes), block):
        bits = np.bitwise_count(hashes[start : start + block, None] ^ hashes[None])
        ours, theirs = np.nonzero(bits <= NEAR_BITS)
        ours += start
        ours, theirs = ours[ours < theirs], theirs[ours < theirs]
        alike = np.einsum("pd,pd->p", unit[ours], unit[theirs]) >= NEAR_CORRELATION
        is_blank = (thumbnails[ours] == 0).all(axis=1) & (thumbnails[theirs] == 0).all(axis=1)
        found.append(np.stack([ours, theirs], axis=1)[alike | is_blank])
    pairs = np.concatenate(found)
    return pairs[:, 0], pairs[:, 1]


def _columns(rows: pa.Table) -> _Columns:
    """The rows that were measured."""
    small = np.frombuffer(b"".join(rows["thumbnail"].to_pylist()), np.uint8).reshape(rows.num_rows, -1)
    sides = np.stack([rows["width_px"].to_numpy(), rows["height_px"].to_numpy()], axis=1)
    is_eligible = (sides.min(axis=1) >= MIN_SIDE_PX) & (rows["aspect"].to_numpy() <= MAX_ASPECT)
    return _Columns(
        names=rows["id"].to_pylist(),
        hashes=rows["perceptual_hash"].to_numpy(),
        thumbnails=centred(small),
        copies=np.unique(rows["file_hash"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)[1],
        is_eligible=is_eligible & (rows["num_bytes"].to_numpy() >= MIN_BYTES),
        pixels=sides.astype(np.int64).prod(axis=1),
    )


def _kept(columns: _Columns, ours: Int64[np.ndarray, "p"], theirs: Int64[np.ndarray, "p"]) -> list[int]:
    """The largest row of each group of duplicates, copies among them, that passes the filters."""
    leader = np.arange(len(columns.names))
    is_open = columns.is_eligible[ours] & columns.is_eligible[theirs]
    for one, other in zip(ours[is_open].tolist(), theirs[is_open].tolist(), strict=True):
        leader[leader == leader[other]] = leader[one]
    order = np.lexsort((leader, -columns.pixels))
    order = order[columns.is_eligible[order]]
    _, first = np.unique(leader[order], return_index=True)
    return sorted(order[first].tolist())


if __name__ == "__main__":
    measure(Path(sys.argv[1]), Path(sys.argv[2]))
