"""What a signal declares, what it is given, and what it gives back.

A signal is a batch function from columns of ``images`` to further columns, known by its name and its version, a digest of
everything that decides a value: code, parameters, weights. `curation.backfill` runs it, keeps what it gives and never asks it
twice for a row under one version. Beside its own columns every signal has two that the engine fills, ``<name>_version`` and
``<name>_error``.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from curation.decode import Scaled

VIEW_SIDE_PX = 240
"""Shorter side, at least, of the pictures that signals are given where the original has as much: half of 480 rather than 256, so
that the decoder may shrink the sizes of screens and cameras, 480, 960 and 1920, by 2, 4 and 8."""


class Batch(NamedTuple):
    """Rows that a signal is asked about."""

    rows: pa.Table
    """The columns of `Signal.inputs`."""
    pictures: Sequence[Scaled]
    """Decoded once for all signals, one a row; empty for a signal that takes none."""


Compute = Callable[[Batch], Mapping[str, pa.Array]]
"""Values of the signal's columns, one a row, in order. Must not depend on which rows come together, and may be called again.

Whatever it raises costs the rows that make it raise, nothing else: the engine narrows them down and sets them aside.
"""


class Signal(NamedTuple):
    """A signal, described without loading what it needs."""

    name: str
    version: str
    """From `version_of`."""
    inputs: tuple[str, ...]
    """Columns it reads."""
    outputs: pa.Schema
    """Columns it fills."""
    build: Callable[[], Compute]
    """Called once in each worker; loads the weights, if there are any. Picklable."""
    takes_pictures: bool = False
    """Whether it is given `Batch.pictures`, decoded from the column ``image``."""
    batch_rows: int = 32
    """Rows asked about at once, and lost at most when a worker is killed."""
    row_timeout_s: float = 60.0
    """A row that takes longer is set aside; a batch gets as much for each of its rows."""
    after: tuple["Signal", ...] = ()
    """Signals whose columns it reads: they are computed first, for the same rows."""

    @property
    def version_column(self) -> str:
        """Version under which the row was computed; null when it is still to do."""
        return f"{self.name}_version"

    @property
    def error_column(self) -> str:
        """Why the row has no values, as "<reason>: <detail>"; null when it has."""
        return f"{self.name}_error"

    @property
    def schema(self) -> pa.Schema:
        """All columns that are filled, the engine's two last."""
        own = [pa.field(self.version_column, pa.string()), pa.field(self.error_column, pa.string())]
        return pa.schema([*self.outputs, *own])

    @property
    def todo(self) -> str:
        """Lance filter that tells the rows to compute."""
        return f"{self.version_column} IS NULL OR {self.version_column} != '{self.version}'"


def in_waves(signals: Sequence[Signal]) -> list[list[Signal]]:
    """The signals and all that they come after, each once, in groups that can be computed together: a wave reads earlier ones.

    Raises:
        ValueError: two signals of one name differ in their version, so they would overwrite each other.
    """
    depths: dict[str, int] = {}
    known: dict[str, Signal] = {}
    for one in signals:
        _place(one, known, depths)
    return [[known[name] for name in known if depths[name] == depth] for depth in sorted(set(depths.values()))]


def _place(one: Signal, known: dict[str, Signal], depths: dict[str, int]) -> int:
    """Enter a signal after those that it comes after; gives its wave."""
    if known.get(one.name, one).version != one.version:
        versions = f"{known[one.name].version} and {one.version}"
        raise ValueError(f"two signals are called {one.name!r}, versions {versions}; ask for one of them")
    depth = 1 + max((_place(earlier, known, depths) for earlier in one.after), default=-1)
    known.setdefault(one.name, one)
    depths[one.name] = depth
    return depth


def version_of(**parts: object) -> str:
    """Twelve hex digits over what decides a signal's values: numbers raised with the code, parameters, names of weights."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]
