"""Meters: one JSON line per logged step in the run's folder, the single record of a training curve.

The driver shows and forwards them; they outlive the processes. On resuming at step k, lines from step k on are cut away, so
that the curve of a run that was broken off reads like that of one that was not.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class Reading(NamedTuple):
    """Meters after an optimizer step."""

    step: int
    """Optimizer steps done."""
    values: Mapping[str, float]


class MeterFile:
    """Appends readings; one writer."""

    def __init__(self, path: Path, *, num_steps_done: int) -> None:
        kept = [reading for reading in readings(path) if reading.step <= num_steps_done]
        beside = path.with_suffix(".writing")
        beside.write_text("".join(_line(reading) for reading in kept))
        beside.rename(path)
        self._file = path.open("a", buffering=1)

    def write(self, reading: Reading) -> None:
        """Append one reading; on disk when this returns."""
        self._file.write(_line(reading))

    def close(self) -> None:
        """End writing."""
        self._file.close()


def readings(path: Path, *, after: int = 0) -> Iterator[Reading]:
    """Readings of steps beyond `after`, in order; a last line being written is left out."""
    if not path.is_file():
        return
    for line in path.read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            return
        raw = json.loads(line)
        if raw["step"] > after:
            yield Reading(raw["step"], {name: value for name, value in raw.items() if name != "step"})


def _line(reading: Reading) -> str:
    return json.dumps({"step": reading.step, **reading.values}) + "\n"
