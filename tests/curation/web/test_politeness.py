import asyncio
import email.utils
import time
from itertools import pairwise

import pytest

from curation.web.politeness import Hosts, opt_out, retry_after_s

REFUSED = frozenset({"noai", "noimageai"})


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ([], None), (["all"], None), (["noai"], "noai"), (["max-snippet: 20, NoImageAI"], "noimageai"), (["noindex"], None),
        (["none", "noai, noimageai"], "noai"), (["otherbot: noai"], None), (["seedbed: noai"], "noai"), (["*: noai"], "noai"),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST"], None), (["otherbot: all", "noai"], "noai"),
    ],
)  # fmt: skip
def test_owners_are_heard(tags: list[str], found: str | None) -> None:
    assert opt_out(tags, refused=REFUSED, agent="seedbed/0.1") == found


def test_servers_say_how_long_to_wait_in_seconds_or_by_a_date() -> None:
    assert retry_after_s("120") == 120
    in_a_minute = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 55 < (retry_after_s(in_a_minute) or 0) <= 60
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after_s("soon") is None
    assert retry_after_s("") is None


def test_turns_keep_their_distance_and_their_number() -> None:
    async def ask(hosts: Hosts, host: str, begun: list[float], most: list[int]) -> None:
        async with hosts.turn(host):
            begun.append(time.monotonic())
            most[0] += 1
            most[1] = max(most)
            await asyncio.sleep(0.1)
            most[0] -= 1

    async def all_of_them() -> tuple[list[float], list[int], list[float]]:
        hosts = Hosts(concurrency=2, interval_s=0.03, max_failures=3)
        begun, most, elsewhere = [], [0, 0], []
        await asyncio.gather(*(ask(hosts, "a", begun, most) for _ in range(6)), ask(hosts, "b", elsewhere, [0, 0]))
        return begun, most, elsewhere

    begun, most, elsewhere = asyncio.run(all_of_them())
    gaps = [later - earlier for earlier, later in pairwise(begun)]
    assert min(gaps) >= 0.02
    assert most[1] == 2
    assert elsewhere[0] < begun[1]  # another host does not wait


def test_a_host_is_given_up_after_failures_in_a_row_only() -> None:
    hosts = Hosts(concurrency=1, interval_s=0.0, max_failures=2)
    for answered in (False, True, False):
        hosts.answered("a") if answered else hosts.failed("a")
    assert not hosts.is_given_up("a")
    hosts.failed("a")
    assert hosts.is_given_up("a")
    assert not hosts.is_given_up("b")
