"""Deliveries to a server that may be down or hang, made by a thread, so that whoever hands them in never waits.

In order, each again and again until it succeeds or can never succeed; room is bounded, and what finds none is counted.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from infra.errors import one_line

_ROOM = 10_000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0


class Undelivered(NamedTuple):
    """What did not arrive."""

    num_deliveries: int
    problem: str
    """The last one met."""


class Outbox:
    """A queue and the thread that empties it.

    Args:
        may_succeed_later: whether a delivery that failed so is to be tried again; others are given up and counted.
        room: deliveries that may wait; later ones are given up and counted.
    """

    def __init__(self, *, may_succeed_later: Callable[[Exception], bool], room: int = _ROOM) -> None:
        self._may_succeed_later, self._room = may_succeed_later, room
        self._waiting: deque[Callable[[], object]] = deque()
        self._given_up, self._problem = 0, ""
        self._changed = threading.Condition()
        self._is_closing = False
        self._last_success = 0.0
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)    # one that hangs is left behind
        self._thread.start()

    def put(self, deliver: Callable[[], object]) -> None:
        """Hand in a delivery; returns at once.

        Args:
            deliver: may be called several times, so what arrives twice must do no harm.
        """
        with self._changed:
            if self._is_closing or len(self._waiting) >= self._room:
                self._give_up(f"more than {self._room:,} deliveries waited")
                return
            self._waiting.append(deliver)
            self._changed.notify_all()

    def close(self, *, patience_s: float) -> Undelivered | None:
        """Take no more, wait while deliveries succeed, and say what did not arrive.

        Args:
            patience_s: how long nothing may succeed before the rest is given up.
        """
        with self._changed:
            self._is_closing = True
            self._last_success = time.monotonic()
            self._changed.notify_all()
            while self._waiting and (left := self._last_success + patience_s - time.monotonic()) > 0:
                self._changed.wait(left)
            lost = self._given_up + len(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return Undelivered(lost, self._problem or f"no answer within {patience_s:g} s") if lost else None

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while (deliver := self._next()) is not None:
            problem = _attempt(deliver)
            with self._changed:
                is_done = problem is None or not self._may_succeed_later(problem)
                if is_done and self._waiting:                        # closing may have cleared it meanwhile
                    self._waiting.popleft()
                if problem is None:
                    pause_s, self._last_success = _FIRST_PAUSE_S, time.monotonic()
                elif is_done:
                    self._give_up(one_line(problem))
                else:
                    self._problem = one_line(problem)
                    self._pause(pause_s)
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                self._changed.notify_all()

    def _pause(self, pause_s: float) -> None:
        """Before the next attempt; closing ends it, and makes those after it short."""
        was_closing = self._is_closing
        limit_s = min(pause_s, _FIRST_PAUSE_S) if was_closing else pause_s
        self._changed.wait_for(lambda: self._is_closing != was_closing or not self._waiting, timeout=limit_s)

    def _next(self) -> Callable[[], object] | None:
        """The oldest waiting; None when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            return self._waiting[0] if self._waiting else None

    def _give_up(self, problem: str) -> None:
        self._given_up += 1
        self._problem = problem


def _attempt(deliver: Callable[[], object]) -> Exception | None:
    try:
        deliver()
    except Exception as error:  # noqa: BLE001  whatever a server answers, deliveries go on
        return error
    return None
