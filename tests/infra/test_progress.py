import io
import time

from rich.console import Console

from infra.progress import Bar, Progress, clock_time


class Clock:
    """Seconds that only tests move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rate_and_time_left_come_from_the_last_half_minute():
    clock = Clock()
    bar = Bar("measure", 1000, unit="images", clock=clock)
    for _ in range(10):                     # a slow start: one a second ...
        clock.now += 10
        bar.advance(10)
    for _ in range(10):                     # ... then ten a second
        clock.now += 5
        bar.advance(50)
    assert bar.done == 600
    assert bar.rate == 10
    assert bar.status() == "600/1,000 images · 0:40 left · 10/s"


def test_earlier_work_does_not_count_in_the_rate():
    clock = Clock()
    bar = Bar("fit", 100, unit="steps", clock=clock)
    bar.start_at(50)
    clock.now += 10
    bar.set(60, note="loss 0.20")
    assert bar.rate == 1
    assert bar.summary() == "60 steps in 0:10 · 1/s · loss 0.20"
    assert bar.status() == "60/100 steps · 0:40 left · 1/s · loss 0.20"


def test_a_stage_without_a_total_shows_its_time():
    clock = Clock()
    bar = Bar("waiting", None, unit="images", clock=clock)
    clock.now += 75
    assert bar.status() == bar.summary() == "1:15"


def test_clock_time_has_hours_only_when_there_are_any():
    assert [clock_time(seconds) for seconds in (0, 59.6, 61, 3599, 3661)] == ["0:00", "1:00", "1:01", "59:59", "1:01:01"]


def test_without_a_terminal_plain_lines_tell_how_far_it_is():
    out = io.StringIO()
    progress = Progress(Console(file=out, width=40), plain_every_s=0.05)
    progress.enter(2, 14)
    with progress.stage("measure", 20) as bar:
        bar.advance(5)
        deadline = time.monotonic() + 30
        while "5/20" not in out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        bar.advance(15)
    lines = out.getvalue().splitlines()
    told = next(line for line in lines if "5/20" in line)
    assert told.startswith("stage 2 of 14 · measure: 5/20 images · ")
    assert " left" in told
    assert lines[-1].startswith("stage 2 of 14 · measure: 20 images in 0:00")
    assert "\x1b" not in out.getvalue()


def test_on_a_terminal_the_bar_is_live_and_only_its_summary_stays():
    out = io.StringIO()
    progress = Progress(Console(file=out, force_terminal=True, width=100))
    with progress.stage("measure", 20) as bar, progress.stage("write", None, unit="rows"):
        bar.advance(20)
    assert "measure" in out.getvalue()
    assert "━" in out.getvalue()
    assert out.getvalue().rstrip().splitlines()[-1].startswith("measure: 20 images in")


def test_a_stage_that_fails_leaves_the_terminal_usable():
    out = io.StringIO()
    progress = Progress(Console(file=out, force_terminal=True, width=100))
    try:
        with progress.stage("measure", 20):
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert "\x1b[?25h" in out.getvalue()    # the cursor is shown again
    assert "measure: " not in out.getvalue()
