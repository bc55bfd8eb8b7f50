"""How servers want to be treated: how often they are asked, when to come back, and what their owners do not want.

Limits hold within one worker: with n workers, a host that has many pictures may be asked n times as often.
"""

import asyncio
import email.utils
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

_FOR_AN_AGENT = re.compile(r"\A\s*([\w.*-]+)\s*:\s*(.*)\Z", re.DOTALL)
_DIRECTIVES_WITH_VALUES = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


def opt_out(robots_tags: Sequence[str], *, refused: frozenset[str], agent: str) -> str | None:
    """The first directive of ``X-Robots-Tag`` headers by which the owner refuses, None when there is none.

    Args:
        robots_tags: values of the headers, such as ``noai, noimageai`` or ``somebot: noindex``.
        refused: directives that are respected, in lower case.
        agent: our name; directives for other agents do not concern us.
    """
    for value in robots_tags:
        named = _FOR_AN_AGENT.match(value)
        if named and named[1].lower() not in _DIRECTIVES_WITH_VALUES:
            if named[1] != "*" and named[1].lower() not in agent.lower():
                continue
            value = named[2]
        for directive in value.lower().split(","):
            if directive.strip() in refused:
                return directive.strip()
    return None


def retry_after_s(value: str | None) -> float | None:
    """Seconds to wait by a ``Retry-After`` header, which holds seconds or a date (RFC 9110, 10.2.3); None without one."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


class Hosts:
    """Turns at hosts: so many at a time, so long apart, and none at all while a host has asked to be left alone.

    Args:
        concurrency: requests to one host at a time.
        interval_s: least time between the beginnings of two requests to one host.
        max_failures: a host that failed so often in a row is given up.
    """

    def __init__(self, *, concurrency: int, interval_s: float, max_failures: int) -> None:
        self._interval_s = interval_s
        self._max_failures = max_failures
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(concurrency))
        self._not_before: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Waits until the host may be asked; holds one of its places."""
        async with self._slots[host]:
            now = time.monotonic()
            begins = max(now, self._not_before.get(host, now))
            self._not_before[host] = begins + self._interval_s
            await asyncio.sleep(begins - now)
            yield

    def is_given_up(self, host: str) -> bool:
        """Whether the host failed too often in a row."""
        return self._failures.get(host, 0) >= self._max_failures

    def failed(self, host: str) -> None:
        """The host did not answer."""
        self._failures[host] = self._failures.get(host, 0) + 1

    def answered(self, host: str) -> None:
        """The host answered, whatever it said."""
        self._failures[host] = 0

    def leave_alone(self, host: str, seconds: float) -> None:
        """The host asked not to be asked for so long."""
        self._not_before[host] = max(self._not_before.get(host, 0.0), time.monotonic() + seconds)
