"""Requests to stop: a signal to this process, a file that the driver leaves in the run's folder; and runs that give up.

A worker that is asked finishes its step; all workers then write a checkpoint together and end. Signals arrive in the main thread
of a process, training runs in another: `listen` is called in the former, by whoever starts the worker. A run for which starting
again is of no use leaves the reason in another file.
"""

import os
import signal
import threading
from pathlib import Path

_asked = threading.Event()

_STOP_FILE = "stop"
_GIVEN_UP_FILE = "given-up"


def listen() -> None:
    """Take SIGTERM as a request; call it in the main thread."""
    _asked.clear()
    signal.signal(signal.SIGTERM, lambda *_: _asked.set())


def ask(folder: Path) -> None:
    """Ask all workers of the run in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _STOP_FILE).touch()


def take_back(folder: Path) -> None:
    """Let a run in this folder begin."""
    (folder / _STOP_FILE).unlink(missing_ok=True)
    (folder / _GIVEN_UP_FILE).unlink(missing_ok=True)


def give_up(folder: Path, why: str) -> None:
    """Say that starting the group again would not help; several workers may, and each reason is whole."""
    beside = folder / f"{_GIVEN_UP_FILE}.{os.getpid()}-{threading.get_ident()}"
    beside.write_text(why)
    beside.rename(folder / _GIVEN_UP_FILE)


def given_up(folder: Path) -> str:
    """Why the run gave up, "" if it did not."""
    place = folder / _GIVEN_UP_FILE
    return place.read_text() if place.exists() else ""


def is_asked(folder: Path) -> bool:
    """Whether this process got the signal, or the driver asks."""
    return _asked.is_set() or is_asked_by_driver(folder)


def is_asked_by_driver(folder: Path) -> bool:
    """Whether the run's folder holds the request."""
    return (folder / _STOP_FILE).exists()
