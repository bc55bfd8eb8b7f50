"""How far a job is: bars in a terminal, a plain line every ten seconds anywhere else.

One console writes it all (to stderr; results go to stdout), so logs, worker output and bars do not tear each other. Rate and time
left come from the last half minute, since stages warm up slowly.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

WINDOW_S = 30.0
PLAIN_EVERY_S = 10.0


def console_on_stderr() -> Console:
    """The console that progress and logs share."""
    return Console(stderr=True, soft_wrap=False, highlight=False)


class Bar:
    """How far one stage is. Counts in `unit`; safe to use from several threads."""

    def __init__(self, name: str, total: int | None, *, unit: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = self._earlier = 0
        self.note = ""
        self._clock = clock
        self._started = clock()
        self._recent: deque[tuple[float, int]] = deque([(self._started, 0)])
        self._lock = threading.Lock()

    def advance(self, n: int = 1) -> None:
        """Count `n` more."""
        self.set(self.done + n, note=self.note)

    def set(self, done: int, note: str = "") -> None:
        """Say how many are done in all, with a word on how it goes (for example the loss)."""
        now = self._clock()
        with self._lock:
            self.done, self.note = done, note
            self._recent.append((now, done))
            while len(self._recent) > 2 and now - self._recent[1][0] > WINDOW_S:
                self._recent.popleft()

    def start_at(self, done: int) -> None:
        """Begin at `done`: earlier work that is not to count in the rate."""
        with self._lock:
            self.done = self._earlier = done
            self._recent = deque([(self._clock(), done)])

    def set_total(self, total: int | None) -> None:
        """Say how many there are, once it is known."""
        self.total = total

    @property
    def seconds(self) -> float:
        """Since the stage began."""
        return self._clock() - self._started

    @property
    def rate(self) -> float:
        """Units a second over the last half minute, 0 before the first."""
        with self._lock:
            (begin, first), (_, last) = self._recent[0], self._recent[-1]
        elapsed = self._clock() - begin
        return (last - first) / elapsed if elapsed > 0 else 0.0

    def status(self) -> str:
        """For example ``1,204/7,906 images · 0:44 left · 151/s``; before the first one is done, the time it takes so far."""
        rate = self.rate
        if self.total is not None and rate > 0 and self.done < self.total:
            when = f"{clock_time((self.total - self.done) / rate)} left"
        else:
            when = clock_time(self.seconds)
        return " · ".join(part for part in (self._count(), when, _per_second(rate), self.note) if part)

    def summary(self) -> str:
        """For example ``7,906 images in 0:52 · 152/s``."""
        count = f"{self.done:,} {self.unit} in " if self.done else ""
        rate = (self.done - self._earlier) / self.seconds if self.seconds > 0 else 0.0
        return " · ".join(part for part in (count + clock_time(self.seconds), _per_second(rate), self.note) if part)

    def _count(self) -> str:
        if self.total is not None:
            return f"{self.done:,}/{self.total:,} {self.unit}"
        return f"{self.done:,} {self.unit}" if self.done else ""


def clock_time(seconds: float) -> str:
    """``m:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _per_second(rate: float) -> str:
    if rate <= 0:
        return ""
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


class Progress:
    """Shows the stages of a job. `enter` puts "stage n of m" before them when several jobs make one whole."""

    def __init__(self, console: Console | None = None, *, plain_every_s: float = PLAIN_EVERY_S) -> None:
        self.console = console or console_on_stderr()
        self._plain_every_s = plain_every_s
        self._prefix = ""
        self._live: RichProgress | None = None
        self._open = 0

    def enter(self, index: int, count: int) -> None:
        """Every stage from here on belongs to step `index` (from 1) of `count`."""
        self._prefix = f"stage {index} of {count} · "

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str = "images") -> Iterator[Bar]:
        """A bar for the time of the block; its last state stays as a line."""
        bar = Bar(self._prefix + name, total, unit=unit)
        show = self._on_terminal if self.console.is_terminal else self._plainly
        with show(bar):
            yield bar
        self.say(f"{bar.name}: {bar.summary()}")

    def say(self, line: str) -> None:
        """Print one line above the bars."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def _on_terminal(self, bar: Bar) -> Iterator[None]:
        if self._live is None:
            bars = BarColumn(bar_width=_bar_width(self.console))
            columns = (SpinnerColumn(), TextColumn("{task.description}"), bars, _StatusColumn())
            self._live = RichProgress(*columns, console=self.console, transient=True)
            self._live.start()
        live, self._open = self._live, self._open + 1
        task = live.add_task(bar.name, total=bar.total, bar=bar)
        try:
            yield
        finally:
            live.remove_task(task)
            self._open -= 1
            if self._open == 0:
                live.stop()
                self._live = None

    @contextmanager
    def _plainly(self, bar: Bar) -> Iterator[None]:
        ended = threading.Event()

        def repeat() -> None:
            while not ended.wait(self._plain_every_s):
                self.say(f"{bar.name}: {bar.status()}")

        teller = threading.Thread(target=repeat, name=f"progress-{bar.name}", daemon=True)
        teller.start()
        try:
            yield
        finally:
            ended.set()
            teller.join()


def _bar_width(console: Console) -> int:
    return 24 if console.width >= 120 else 10      # the words matter more


class _StatusColumn(ProgressColumn):
    """The bar's own words; it also carries the counts over to rich."""

    def render(self, task: Task) -> Text:
        bar: Bar = task.fields["bar"]
        task.total, task.completed = bar.total, bar.done
        return Text(bar.status(), no_wrap=True, overflow="ellipsis")
