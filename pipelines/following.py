"""A training seen from outside: its meters, events and grids, shown and recorded as they appear in the run's folder.

The folder is the record; the tracker gets a copy. A thread looks every second and hands over what is new; it waits for nobody.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from infra.progress import Bar
from infra.tracking import Run
from train.events import Event, Events, num_attempts
from train.fitting import FitFolder
from train.meters import Reading, readings
from train.preview import drawn

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0


@contextmanager
def following(folder: FitFolder, bar: Bar, run: Run) -> Iterator[None]:
    """Show and record what happens in the run's folder for the time of the block, and all of it before the block ends."""
    over = threading.Event()
    follower = Follower(folder, bar, run)

    def follow() -> None:
        while not over.wait(_LOOK_EVERY_S):
            try:
                follower.look()
            except OSError as error:                                 # a shared disk may be away for a while
                logger.warning("the run's folder cannot be read", extra={"folder": str(folder.place), "problem": str(error)})

    thread = threading.Thread(target=follow, name="following", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        follower.look()


class Follower:
    """Remembers what was handed over; what lay in the folder before was so by an earlier one."""

    def __init__(self, folder: FitFolder, bar: Bar, run: Run) -> None:
        self._folder, self._bar, self._run = folder, bar, run
        self._events = Events(folder.place, writer="driver")
        self._step = max((reading.step for reading in readings(folder.meters)), default=0)
        self._previews = set(drawn(folder.previews))
        self._num_events = 0
        bar.start_at(self._step)

    def look(self) -> None:
        """Hand over what is new."""
        events = self._events.all()
        self._meters(events)
        for step, path in drawn(self._folder.previews).items():
            if step not in self._previews:
                self._previews.add(step)
                self._run.log_image(path, "preview", step=step)
        if len(events) != self._num_events:
            self._num_events = len(events)
            self._run.log_text("".join(event.line() for event in events), "events.jsonl")
            self._run.set_tags({"attempts": num_attempts(events)})

    def _meters(self, events: Sequence[Event]) -> None:
        known = list(readings(self._folder.meters))
        fresh = [reading for reading in known if reading.step > self._step]
        if not fresh:
            return
        self._step = fresh[-1].step
        rows = [(reading.step, {f"train/{name}": value for name, value in reading.values.items()}) for reading in fresh]
        rows[-1][1]["train/goodput"] = goodput(known, events, now=datetime.now(UTC))
        self._run.log_series(rows)
        self._bar.set(self._step, note=f"loss {fresh[-1].values['loss']:.4f}")


def goodput(known: Sequence[Reading], events: Sequence[Event], *, now: datetime) -> float:
    """Share of the time since the first start that went into steps that count, over all attempts.

    Steps that are done again after a failure count once. Waiting for data, starting, checkpoints and pauses between attempts
    are the rest.
    """
    productive_s = sum(
        (reading.step - before) * reading.values["step_s"]
        for before, reading in zip([0, *(reading.step for reading in known)], known, strict=False)
    )
    began = min((event.time for event in events), default=now)
    return min(1.0, productive_s / max((now - began).total_seconds(), 1e-9))
