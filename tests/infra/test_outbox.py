"""What a server that is away does to those who report to it: nothing."""

import threading
import time

from infra.outbox import Outbox, Undelivered


class Server:
    """Refuses while it is down."""

    def __init__(self) -> None:
        self.is_up, self.received, self.asked = False, list[int](), threading.Event()

    def take(self, number: int) -> None:
        self.asked.set()
        if not self.is_up:
            raise ConnectionError("nobody listens")
        self.received.append(number)


def outbox(*, room: int = 100) -> Outbox:
    return Outbox(may_succeed_later=lambda error: isinstance(error, ConnectionError), room=room)


def test_deliveries_wait_for_a_server_that_is_down_and_keep_their_order():
    server, box = Server(), outbox()
    for number in range(5):
        box.put(lambda number=number: server.take(number))
    assert server.asked.wait(10)
    server.is_up = True
    assert box.close(patience_s=10) is None
    assert server.received == [0, 1, 2, 3, 4]


def test_a_server_that_never_comes_back_costs_its_patience_and_is_told_of():
    server, box = Server(), outbox()
    for number in range(3):
        box.put(lambda number=number: server.take(number))
    began = time.monotonic()
    assert box.close(patience_s=0.2) == Undelivered(3, "nobody listens")
    assert time.monotonic() - began < 5


def test_a_server_that_hangs_holds_nobody_up():
    released = threading.Event()
    box = outbox()
    began = time.monotonic()
    for _ in range(3):
        box.put(released.wait)
    assert box.close(patience_s=0.2) == Undelivered(3, "no answer within 0.2 s")
    assert time.monotonic() - began < 5
    released.set()


def test_what_can_never_arrive_is_given_up_and_the_rest_goes_on():
    server, box = Server(), outbox()
    server.is_up = True

    def refuse() -> None:
        raise ValueError("no such\nrun")

    box.put(refuse)
    box.put(lambda: server.take(1))
    assert box.close(patience_s=10) == Undelivered(1, "no such run")
    assert server.received == [1]


def test_room_is_bounded():
    server, box = Server(), outbox(room=2)
    for number in range(5):
        box.put(lambda number=number: server.take(number))
    server.is_up = True
    assert box.close(patience_s=10) == Undelivered(3, "more than 2 deliveries waited")
    assert server.received == [0, 1]
