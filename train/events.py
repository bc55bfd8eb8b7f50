"""What happened to a run, over all its attempts: one JSON line an event, in the run's folder.

The driver and any worker may have something to say, from different machines; appending to one file from several is not safe on
every shared disk, so each writer has its own file and reading merges them by time.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

EventKind = Literal[
    "started", "resumed", "worker died", "hang", "straggler", "rolled back", "preempted", "node left out", "finished", "failed",
    "interrupted",
]  # fmt: skip

Fact = str | int | float


class Event(NamedTuple):
    """One turn in a run's life."""

    time: datetime
    """UTC, of the writer's clock."""
    kind: EventKind
    facts: Mapping[str, Fact]

    def line(self) -> str:
        """JSON: time, kind, then the facts."""
        return json.dumps({"time": self.time.isoformat(), "kind": self.kind, **self.facts}) + "\n"


class Events:
    """The events of the run in a folder, and one writer's place among them.

    Args:
        folder: the run's.
        writer: names the writer's own file, for example "driver" or "rank-3"; no two processes at once may share it.
    """

    def __init__(self, folder: Path, *, writer: str) -> None:
        self._place = folder / "events"
        self._path = self._place / f"{writer}.jsonl"

    def write(self, kind: EventKind, **facts: Fact) -> None:
        """Append an event of now; on disk when this returns."""
        self._place.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(Event(datetime.now(UTC), kind, facts).line())

    def all(self) -> list[Event]:
        """Everyone's events by time; a line being written is left out."""
        lines = [line for path in self._place.glob("*.jsonl") for line in path.read_text().splitlines(keepends=True)]
        return sorted((_parsed(line) for line in lines if line.endswith("\n")), key=lambda event: event.time)


def num_attempts(events: Sequence[Event]) -> int:
    """How often a group of workers began; going back to a checkpoint is no new attempt."""
    return sum({"started": 1, "resumed": 1, "rolled back": -1}.get(event.kind, 0) for event in events)


def _parsed(line: str) -> Event:
    raw = json.loads(line)
    return Event(datetime.fromisoformat(raw.pop("time")), raw.pop("kind"), raw)
