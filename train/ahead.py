"""A thread that makes things before they are asked for."""

import threading
import time
from collections.abc import Generator
from queue import Empty, Full, Queue
from typing import NamedTuple, TypeVar

T = TypeVar("T")

_LOOK_EVERY_S = 0.1


class _Failed(NamedTuple):
    error: BaseException


class _Over:
    """Nothing follows."""


def made_ahead(items: Generator[T, None, None], *, depth: int) -> Generator[tuple[T, float], None, None]:
    """The items in order, and how long each was waited for in seconds; at most `depth` of them lie ready.

    The thread ends with the iteration, and closes `items`; an error of theirs is raised here.
    """
    ready: Queue[T | _Failed | _Over] = Queue(depth)
    stop = threading.Event()
    thread = threading.Thread(target=_make, args=(items, ready, stop), name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            began = time.perf_counter()
            item = ready.get()
            if isinstance(item, _Failed):
                raise item.error
            if isinstance(item, _Over):
                return
            yield item, time.perf_counter() - began
    finally:
        stop.set()
        thread.join()


def _make(items: Generator[T, None, None], ready: "Queue[T | _Failed | _Over]", stop: threading.Event) -> None:
    try:
        for item in items:
            if not _put(ready, item, stop):
                break
        _put(ready, _Over(), stop)
    except BaseException as error:  # noqa: BLE001  handed over to the thread that asks, which raises it
        _put(ready, _Failed(error), stop)
    finally:
        items.close()


def _put(queue: "Queue[T]", item: T, stop: threading.Event) -> bool:
    """Whether the item was taken before it was time to stop."""
    while not stop.is_set():
        try:
            queue.put(item, timeout=_LOOK_EVERY_S)
        except Full:
            continue
        return True
    while not queue.empty():
        try:
            queue.get_nowait()
        except Empty:
            break
    return False
