"""A training seen from outside: its meters, events and grids, shown and recorded as they appear in the run's folder.

The folder is the record; the tracker gets a copy. A thread looks every second and hands over what is new; it waits for nobody.
What arrived is noted in the folder, and a driver that goes on with a broken run begins there.
"""

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

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
    """Remembers what was handed over, and begins after what an earlier one is known to have delivered."""

    def __init__(self, folder: FitFolder, bar: Bar, run: Run) -> None:
        self._folder, self._bar, self._run = folder, bar, run
        self._events = Events(folder.place, writer="driver")
        self._delivered = Delivered(folder.place, run.id)
        self._step, self._previews = self._delivered.step, set(self._delivered.previews)
        self._num_events = 0
        bar.start_at(max((reading.step for reading in readings(folder.meters)), default=0))

    def look(self) -> None:
        """Hand over what is new."""
        events = self._events.all()
        self._meters(events)
        for step, path in drawn(self._folder.previews).items():
            if step not in self._previews:
                self._previews.add(step)
                self._run.log_image(path, "preview", step=step, on_delivered=partial(self._delivered.preview_of, step))
        if len(events) != self._num_events:
            self._num_events = len(events)
            self._run.log_text("".join(event.line() for event in events), "events.jsonl")
            self._run.set_tags({"attempts": num_attempts(events)})

    def _meters(self, events: Sequence[Event]) -> None:
        known = list(readings(self._folder.meters))
        fresh = [reading for reading in known if reading.step > self._step]
        if not fresh:
            return
        before, self._step = self._step, fresh[-1].step
        rows = [(reading.step, {f"train/{name}": value for name, value in reading.values.items()}) for reading in fresh]
        rows[-1][1]["train/goodput"] = goodput(known, events, now=datetime.now(UTC))
        self._run.log_series(rows, on_delivered=partial(self._delivered.steps_between, before, self._step))
        self._bar.set(self._step, note=f"loss {fresh[-1].values['loss']:.4f}")


class Delivered:
    """What has arrived at the tracker, kept in the run's folder, so that the next driver hands over the rest.

    What was handed over may be lost all the same: the driver dies while it waits, or an outage outlasts it.

    Args:
        run_id: of the tracker's run; what arrived at another one counts for nothing.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        self._path, self._run_id = folder / "delivered.json", run_id
        self.step, self.previews = 0, frozenset[int]()
        if self._path.is_file() and (kept := json.loads(self._path.read_text()))["run"] == run_id:
            self.step, self.previews = kept["step"], frozenset(kept["previews"])

    def steps_between(self, before: int, last: int) -> None:
        """The readings after step `before` up to `last` have arrived; without those before them, they will be sent again."""
        if before == self.step:
            self.step = last
            self._keep()

    def preview_of(self, step: int) -> None:
        """The grid of that step has arrived."""
        self.previews |= {step}
        self._keep()

    def _keep(self) -> None:
        beside = self._path.with_suffix(".writing")
        try:
            beside.write_text(json.dumps({"run": self._run_id, "step": self.step, "previews": sorted(self.previews)}))
            beside.rename(self._path)
        except OSError as error:                                     # an error here would have the delivery made again
            logger.warning("deliveries cannot be noted", extra={"file": str(self._path), "problem": str(error)})


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
