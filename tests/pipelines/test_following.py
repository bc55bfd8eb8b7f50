"""What the driver hands over of a training, from what lies in its folder."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from infra.progress import Bar
from infra.tracking import OnDelivered
from infra.untracked import NullRun
from pipelines.following import Follower, following, goodput
from train.events import Event, Events
from train.fitting import FitFolder
from train.meters import MeterFile, Reading

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Kept(NullRun):
    """Remembers what it is told; it arrives at once, unless the server is away: then when `arrive` is called, if ever."""

    def __init__(self, run_id: str = "run", *, is_away: bool = False) -> None:
        self.id, self._is_away = run_id, is_away
        self._waiting: list[OnDelivered] = []
        self.steps: list[int] = []
        self.values: dict[str, float] = {}
        self.images: list[tuple[str, int]] = []
        self.texts: dict[str, str] = {}
        self.tags: dict[str, object] = {}

    def log_series(self, rows: Sequence[tuple[int, Mapping[str, float]]], *, on_delivered: OnDelivered | None = None) -> None:
        for step, values in rows:
            self.steps.append(step)
            self.values.update(values)
        self._sent(on_delivered)

    def log_image(self, path: Path, key: str, *, step: int, on_delivered: OnDelivered | None = None) -> None:
        self.images.append((f"{key}:{path.name}", step))
        self._sent(on_delivered)

    def log_text(self, text: str, name: str) -> None:
        self.texts[name] = text

    def set_tags(self, tags: Mapping[str, str | int | float | bool]) -> None:
        self.tags.update(tags)

    def arrive(self, *places: int) -> None:
        """Of what waits, what was sent at these places, counted from 0."""
        for place in places:
            self._waiting[place]()

    def _sent(self, on_delivered: OnDelivered | None) -> None:
        assert on_delivered is not None
        self._waiting.append(on_delivered)
        if not self._is_away:
            on_delivered()


@pytest.fixture
def folder(tmp_path: Path) -> FitFolder:
    return FitFolder(tmp_path)


def write(folder: FitFolder, *steps: int, num_steps_done: int = 0) -> None:
    meters = MeterFile(folder.meters, num_steps_done=num_steps_done)
    for step in steps:
        meters.write(Reading(step, {"loss": 1 / step, "step_s": 0.5}))
    meters.close()


def draw(folder: FitFolder, step: int) -> None:
    folder.previews.mkdir(exist_ok=True)
    Image.new("RGB", (2, 2)).save(folder.previews / f"step-{step:06d}.png")


def follow(folder: FitFolder, run: Kept) -> None:
    Follower(folder, Bar("fit", 100, unit="steps"), run).look()


def test_everything_new_is_handed_over_once(folder: FitFolder):
    run, bar = Kept(), Bar("fit", 100, unit="steps")
    follower = Follower(folder, bar, run)
    events = Events(folder.place, writer="rank-0")
    events.write("started", step=0)
    write(folder, 1, 10)
    draw(folder, 10)
    follower.look()
    follower.look()
    assert (run.steps, run.images, bar.done) == ([1, 10], [("preview:step-000010.png", 10)], 10)
    assert run.values["train/loss"] == 0.1
    assert 0 < run.values["train/goodput"] <= 1
    assert run.tags == {"attempts": 1}
    assert [line.count("started") for line in run.texts["events.jsonl"].splitlines()] == [1]


def test_steps_done_again_are_not_handed_over_again(folder: FitFolder):
    run = Kept()
    follower = Follower(folder, Bar("fit", 100, unit="steps"), run)
    write(folder, 10, 20, 30)
    follower.look()
    write(folder, 30, 40, num_steps_done=20)
    follower.look()
    assert run.steps == [10, 20, 30, 40]


def test_what_an_earlier_driver_delivered_is_left_alone(folder: FitFolder):
    write(folder, 10)
    draw(folder, 10)
    follow(folder, Kept())
    run, bar = Kept(), Bar("fit", 100, unit="steps")
    follower = Follower(folder, bar, run)
    assert bar.done == 10
    follower.look()
    write(folder, 20, num_steps_done=10)
    follower.look()
    assert (run.steps, run.images) == ([20], [])


def test_what_never_arrived_is_handed_over_by_the_next_driver(folder: FitFolder):
    write(folder, 10)
    draw(folder, 10)
    follow(folder, Kept(is_away=True))
    run, bar = Kept(), Bar("fit", 100, unit="steps")
    follower = Follower(folder, bar, run)
    assert bar.done == 10
    follower.look()
    assert (run.steps, run.images) == ([10], [("preview:step-000010.png", 10)])


def test_what_was_dropped_before_others_arrived_is_handed_over_again(folder: FitFolder):
    away = Kept(is_away=True)
    follower = Follower(folder, Bar("fit", 100, unit="steps"), away)
    write(folder, 10)
    follower.look()
    write(folder, 20, num_steps_done=10)
    follower.look()
    write(folder, 30, num_steps_done=20)
    follower.look()
    away.arrive(0, 2)
    run = Kept()
    follow(folder, run)
    assert run.steps == [20, 30]


def test_another_run_of_the_tracker_gets_everything(folder: FitFolder):
    write(folder, 10)
    draw(folder, 10)
    follow(folder, Kept("one"))
    run = Kept("other")
    follow(folder, run)
    assert (run.steps, [step for _, step in run.images]) == ([10], [10])


def test_the_last_reading_is_handed_over_before_the_block_ends_even_by_an_error(folder: FitFolder):
    run = Kept()

    def fail() -> None:
        with following(folder, Bar("fit", 100, unit="steps"), run):
            write(folder, 10)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert run.steps == [10]


def test_goodput_is_the_share_of_time_in_steps_that_count():
    known = [Reading(1, {"step_s": 2.0}), Reading(11, {"step_s": 1.0}), Reading(21, {"step_s": 1.8})]
    events = [Event(NOON, "started", {}), Event(NOON + timedelta(seconds=40), "resumed", {})]
    assert goodput(known, events, now=NOON + timedelta(seconds=100)) == pytest.approx(0.3)
