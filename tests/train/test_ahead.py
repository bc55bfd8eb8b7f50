"""Things made by a thread before they are asked for."""

import threading
from collections.abc import Generator

import pytest

from train.ahead import made_ahead


def test_items_come_in_order_with_the_time_waited() -> None:
    made = list(made_ahead((number for number in range(5)), depth=2))
    assert [item for item, _ in made] == [0, 1, 2, 3, 4]
    assert all(wait_s >= 0 for _, wait_s in made)


def test_no_more_than_the_depth_lies_ready_and_closing_ends_the_thread() -> None:
    made: list[int] = []
    is_closed = threading.Event()

    def numbers() -> Generator[int, None, None]:
        try:
            for number in range(1000):
                made.append(number)
                yield number
        finally:
            is_closed.set()

    ahead = made_ahead(numbers(), depth=2)
    assert next(ahead)[0] == 0
    ahead.close()
    assert is_closed.is_set()
    assert len(made) <= 1 + 2 + 1                                    # taken, ready, in the maker's hands
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]


def test_an_error_is_raised_where_items_are_asked_for() -> None:
    def numbers() -> Generator[int, None, None]:
        yield 1
        raise LookupError("the second is missing")

    ahead = made_ahead(numbers(), depth=3)
    assert next(ahead)[0] == 1
    with pytest.raises(LookupError, match="the second is missing"):
        next(ahead)
