"""Finds workers that hang: heartbeats in the run's folder, compared by a thread that training cannot block.

Every worker's thread writes a heartbeat a second: how many steps it has done and what it is doing. A stopped process writes
none; one that is stuck in its data goes on writing that it is at its data, while the others wait for it in a collective call. Up
to four workers, spread over the run, look at all heartbeats. Whoever finds a hang names the worker in the run's events and ends
its own process, so that Ray Train starts the group anew from the newest checkpoint. PyTorch's own watchdog was rejected as the
only one: it says which call timed out, not whose fault it was, and gloo has none.

Only time in which the watcher itself was running counts, and only its own clock is read.
"""

import json
import logging
import os
import socket
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from train.events import Events

logger = logging.getLogger(__name__)

HANG_EXIT_CODE = 75
"""Of a worker that ended itself because one of the group hangs."""

_TICK_S = 1.0
_NUM_WATCHERS = 4
_PATIENCE_FACTOR = 10                  # the first step, with compilation, and slow disks take their time
_SLOW_STEP_FACTOR = 3
_WAITING: Mapping[str, int] = {"compute": 1, "collective": 2}
"""How likely one who does this waits for others: passes of sharded networks send and receive too."""


class Heartbeat(NamedTuple):
    """What a worker says of itself."""

    rank: int
    host: str
    pid: int
    num_beats: int
    """Grows with every heartbeat of the process."""
    num_steps_done: int
    """Optimizer steps; -1 before the first of this process."""
    num_moves: int
    """Grows with every step, and with every word that one is at work."""
    doing: str
    """"start", "data", "compute", "collective", "checkpoint" or "preview"."""


class Hang(NamedTuple):
    """A worker that holds up the others."""

    rank: int
    host: str
    pid: int
    num_steps_done: int
    doing: str
    """What it said last."""
    seconds: float
    """Since its last step, or since its last heartbeat."""
    is_silent: bool
    """Whether heartbeats have ceased: the process is stopped, or its machine is gone."""


class _Seen(NamedTuple):
    """A worker as the watcher saw it last, in seconds of watching."""

    beat: Heartbeat
    beat_changed: float
    moved: float
    is_alive: bool
    """Whether its heartbeats were seen to follow each other, so that they are of this attempt."""


class Watch:
    """Judges heartbeats, look by look; pure."""

    def __init__(self, *, hang_s: float, tick_s: float = _TICK_S) -> None:
        self._hang_s, self._longest_look_s = hang_s, 2 * tick_s
        self._seen: dict[int, _Seen] = {}
        self._watched, self._last_look, self._longest_step_s = 0.0, 0.0, 0.0

    def look(self, beats: Mapping[int, Heartbeat], now: float) -> list[Hang]:
        """Who hangs, now that these heartbeats are there.

        Args:
            beats: by rank; workers that have ended are not in it.
            now: any clock that runs on, in seconds.
        """
        gap = now - self._last_look if self._seen else 0.0
        self._watched += min(gap, self._longest_look_s)              # this process may have been stopped itself
        self._last_look = now
        self._seen = {rank: self._taken_in(beat) for rank, beat in beats.items()}
        silent = [self._hang(seen, seen.beat_changed, is_silent=True) for seen in self._seen.values() if self._is_silent(seen)]
        return silent or self._late()

    def _taken_in(self, beat: Heartbeat) -> _Seen:
        now, known = self._watched, self._seen.get(beat.rank)
        if known is None or known.beat.pid != beat.pid or known.beat.host != beat.host:
            return _Seen(beat, now, now, is_alive=False)
        if beat.num_beats == known.beat.num_beats:
            return known
        if beat.num_moves == known.beat.num_moves:
            return _Seen(beat, now, known.moved, is_alive=True)
        if known.beat.num_steps_done >= 0:
            self._longest_step_s = max(self._longest_step_s, now - known.moved)
        return _Seen(beat, now, now, is_alive=True)

    def _is_silent(self, seen: _Seen) -> bool:
        return seen.is_alive and self._watched - seen.beat_changed >= self._hang_s

    def _late(self) -> list[Hang]:
        """Whoever the others wait for, once a step has taken too long; all, when all wait in a collective call."""
        ages = {rank: self._watched - seen.moved for rank, seen in self._seen.items()}
        limits = {rank: self._allowed_s(seen) for rank, seen in self._seen.items()}
        if all(ages[rank] < limits[rank] for rank in ages):
            return []
        slack_s = 2 * self._longest_look_s                           # one step of all is seen a look apart
        mute = [seen for seen in self._seen.values() if self._watched - seen.beat_changed >= self._hang_s]
        if mute:                                                     # stopped before it was seen to beat, so not found silent
            return [self._hang(seen, seen.beat_changed, is_silent=True) for seen in mute]
        held = [self._seen[rank] for rank in ages if ages[rank] >= limits[rank] - slack_s]
        waiting = min(_WAITING.get(seen.beat.doing, 0) for seen in held)
        if waiting == _WAITING["collective"] and len(held) < len(self._seen):
            return []                                                # they wait for one that still moves
        guilty = [seen for seen in held if _WAITING.get(seen.beat.doing, 0) == waiting]
        return [self._hang(seen, seen.moved, is_silent=False) for seen in guilty]

    def _allowed_s(self, seen: _Seen) -> float:
        if seen.beat.num_steps_done < 0 or seen.beat.doing in ("start", "checkpoint") or not seen.is_alive:
            return _PATIENCE_FACTOR * self._hang_s
        return max(self._hang_s, _SLOW_STEP_FACTOR * self._longest_step_s)

    def _hang(self, seen: _Seen, since: float, *, is_silent: bool) -> Hang:
        beat = seen.beat
        return Hang(beat.rank, beat.host, beat.pid, beat.num_steps_done, beat.doing, round(self._watched - since, 1), is_silent)


class Watchdog:
    """Beats for this worker, and watches all, for the time of a `with` block.

    Args:
        folder: the run's.
        hang_s: a step may take so long, or three times the longest so far; ten times as long at the first step of the process,
            while a checkpoint is written, and at the end.
        leave: ends this process with an exit code.
    """

    def __init__(
        self, folder: Path, *, rank: int, num_workers: int, hang_s: float = 60.0,
        tick_s: float = _TICK_S, leave: Callable[[int], None] = os._exit,
    ) -> None:  # fmt: skip
        self._place, self._events = folder / "heartbeats", Events(folder, writer=f"rank-{rank}")
        self._beat = Heartbeat(
            rank, socket.gethostname(), os.getpid(), num_beats=0, num_steps_done=-1, num_moves=0, doing="start"
        )
        self._num_workers, self._tick_s, self._leave = num_workers, tick_s, leave
        self._watch = Watch(hang_s=hang_s, tick_s=tick_s) if is_watcher(rank, num_workers) else None
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        self._place.mkdir(parents=True, exist_ok=True)
        self._write()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """A worker that has ended, however, is nobody to wait for."""
        self._over.set()
        self._thread.join()
        self._file(self._beat.rank).unlink(missing_ok=True)

    def step(self, num_steps_done: int) -> None:
        """Say that so many optimizer steps are done."""
        with self._lock:
            self._beat = self._beat._replace(num_steps_done=num_steps_done, num_moves=self._beat.num_moves + 1)

    def at_work(self) -> None:
        """Say that what takes long goes on."""
        with self._lock:
            self._beat = self._beat._replace(num_moves=self._beat.num_moves + 1)

    def doing(self, what: str) -> None:
        """Say what begins."""
        with self._lock:
            self._beat = self._beat._replace(doing=what)

    def _run(self) -> None:
        while not self._over.wait(self._tick_s):
            try:
                hangs = self._tick()
            except OSError as error:                                 # a shared disk may be away for a while
                logger.warning("no heartbeat", extra={"problem": str(error)})
                continue
            if hangs:
                self._leave(HANG_EXIT_CODE)
                return

    def _tick(self) -> list[Hang]:
        self._write()
        if self._watch is None:
            return []
        hangs = self._watch.look(heartbeats(self._place.parent, self._num_workers), time.monotonic())
        if hangs:
            self._report(hangs)
        return hangs

    def _write(self) -> None:
        with self._lock:
            self._beat = self._beat._replace(num_beats=self._beat.num_beats + 1)
            beat = self._beat
        beside = self._file(beat.rank).with_suffix(".writing")
        beside.write_text(json.dumps(beat._asdict()))
        beside.replace(self._file(beat.rank))

    def _report(self, hangs: Sequence[Hang]) -> None:
        for hang in hangs:
            logger.error("a worker hangs", extra=hang._asdict())
            self._events.write("hang", **hang._asdict())

    def _file(self, rank: int) -> Path:
        return self._place / f"rank-{rank}.json"


def is_watcher(rank: int, num_workers: int) -> bool:
    """Whether this worker looks at all heartbeats: up to four do, spread over the run, so that reading stays cheap."""
    return rank % max(1, -(-num_workers // _NUM_WATCHERS)) == 0


def heartbeats(folder: Path, num_workers: int) -> dict[int, Heartbeat]:
    """The newest heartbeat of every worker that has begun and not ended, by rank."""
    found: dict[int, Heartbeat] = {}
    for rank in range(num_workers):
        try:
            found[rank] = Heartbeat(**json.loads((folder / "heartbeats" / f"rank-{rank}.json").read_text()))
        except FileNotFoundError:
            continue
    return found


class Straggler(NamedTuple):
    """A worker that computes for longer than the others."""

    rank: int
    seconds: float
    """Of a step."""
    ratio: float
    """To the median over workers."""


STRAGGLER_RATIO = 1.2


def stragglers(seconds_by_rank: Sequence[float]) -> list[Straggler]:
    """Workers slower than 1.2 times the median, the slowest first.

    Args:
        seconds_by_rank: what each worker computed for in a step, without waiting for data or for others.
    """
    median = statistics.median(seconds_by_rank)
    slow = [
        Straggler(rank, seconds, seconds / median)
        for rank, seconds in enumerate(seconds_by_rank)
        if seconds > STRAGGLER_RATIO * median
    ]
    return sorted(slow, key=lambda each: -each.ratio)
