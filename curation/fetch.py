"""Fetching pictures by URL: bounded in time and size, polite, and never from inside somebody's network.

Every failure is a value with a reason from a closed list. httpcore, the engine of httpx, is used directly, since it lets us make
the connections ourselves: a name is resolved once, all of its addresses are checked (`curation.web.addresses`), and the socket
goes to a checked address, while TLS still verifies the name. Redirects are followed here, hop by hop; each is checked alike.

Environment variables for proxies are not read: a proxy would resolve names for itself, behind the guard.
"""

import asyncio
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Literal, NamedTuple, cast

import httpcore
import httpx
from pydantic import BaseModel, Field, field_validator

from curation.containers.kinds import foreign_kind, kind_of
from curation.web.addresses import Forbidden, GuardedBackend, networks, parsed
from curation.web.answers import Headers, UnknownEncoding, unpacked
from curation.web.politeness import Hosts, opt_out, retry_after_s

FetchReason = Literal[
    "bad_url", "forbidden_scheme", "forbidden_userinfo", "forbidden_port", "forbidden_address",   # not asked at all
    "unresolvable", "unreachable", "tls", "timeout", "broken_response", "host_given_up",          # no answer
    "denied", "not_found", "throttled", "server_error", "http_error", "too_many_redirects",       # another answer
    "opted_out",                                                                                  # the owner says no
    "too_large", "not_a_picture",                                                                 # the answer is no picture
]  # fmt: skip
"""Closed list of why there is no picture."""

TRANSIENT: frozenset[FetchReason] = frozenset({"unreachable", "timeout", "broken_response", "throttled", "server_error"})
"""What is tried again: all of it may be over in a moment, and a GET may be repeated."""

_NO_ANSWER: frozenset[FetchReason] = frozenset({"unreachable", "timeout", "broken_response"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BY_STATUS: dict[int, FetchReason] = {
    401: "denied", 402: "denied", 403: "denied", 451: "denied", 404: "not_found", 410: "not_found", 429: "throttled",
    500: "server_error", 502: "server_error", 503: "server_error", 504: "server_error",
}  # fmt: skip
_SNIFF_BYTES = 512


class FetchConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Limits and manners of fetching."""

    connect_s: float = Field(default=5.0, gt=0)
    """Longest wait for a connection, name resolution included."""
    read_s: float = Field(default=10.0, gt=0)
    """Longest wait for the next bytes."""
    total_s: float = Field(default=30.0, gt=0)
    """Longest time for one attempt, from the first connection through all redirects to the last byte."""
    max_bytes: int = Field(default=32 * 2**20, gt=0)
    """Largest answer that is read, counted before and after it is unpacked."""
    max_redirects: int = Field(default=5, ge=0)
    """Most hops from one address to the next."""
    max_attempts: int = Field(default=3, ge=1)
    """Most attempts for failures that may be over in a moment."""
    backoff_s: float = Field(default=1.0, ge=0)
    """Wait before the second attempt; doubled before each further one."""
    max_wait_s: float = Field(default=60.0, ge=0)
    """Longest wait that a server may ask for (Retry-After); longer ones end the attempts."""
    concurrency: int = Field(default=32, ge=1)
    """Requests at a time in one worker."""
    host_concurrency: int = Field(default=2, ge=1)
    """Requests at a time to one host."""
    host_interval_s: float = Field(default=0.2, ge=0)
    """Least time between two requests to one host."""
    max_host_failures: int = Field(default=8, ge=1)
    """A host that does not answer so often in a row is given up for the rest of the batch."""
    ports: tuple[int, ...] = (80, 443)
    """Ports that may be asked."""
    allowed_networks: tuple[str, ...] = ()
    """Private addresses that may be asked nevertheless, such as "10.20.0.0/16": an intranet's, or a test's."""
    respected: frozenset[str] = frozenset({"noai", "noimageai", "noindex"})
    """Directives of X-Robots-Tag headers by which a picture is left alone."""
    accept: Literal["pictures", "anything"] = "pictures"
    """Whether answers that do not begin like a picture are refused, whatever their content type claims."""
    user_agent: str = "seedbed/0.1 (+https://example.org/seedbed)"
    """Who we say we are; a crawler's owner puts an address here where complaints are read."""

    @field_validator("allowed_networks")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        networks(value)
        return value


class Fetched(NamedTuple):
    """What a URL gave."""

    content: bytes
    url: str
    """Where it was in the end, after redirects."""

    def __repr__(self) -> str:
        """Without the content: asyncio and anyio print results into the names of tasks, which would cost more than fetching."""
        return f"Fetched({len(self.content)} bytes, {self.url!r})"


class FetchFailure(NamedTuple):
    """Why a URL gave nothing."""

    reason: FetchReason
    detail: str
    """What was seen, one line."""
    wait_s: float | None = None
    """What the server asked for before the next attempt."""


class Fetcher:
    """Fetches batches of URLs. Small and picklable; connections live as long as a batch."""

    def __init__(self, config: FetchConfig) -> None:
        self._config = config

    def fetch_all(self, urls: Sequence[str]) -> list[Fetched | FetchFailure]:
        """What each URL gives, in their order. Memory: all contents at once, so the caller chooses how many."""
        return asyncio.run(self._fetch_all(urls))

    async def _fetch_all(self, urls: Sequence[str]) -> list[Fetched | FetchFailure]:
        config = self._config
        hosts = Hosts(
            concurrency=config.host_concurrency, interval_s=config.host_interval_s, max_failures=config.max_host_failures
        )
        places = asyncio.Semaphore(config.concurrency)
        backend = GuardedBackend(networks(config.allowed_networks), connect_s=config.connect_s)
        async with httpcore.AsyncConnectionPool(
            _ssl_context(), max_connections=config.concurrency, network_backend=backend
        ) as pool:
            batch = _Batch(config, pool, hosts)

            async def one(url: str) -> Fetched | FetchFailure:
                async with places:
                    return await batch.fetch(url)

            return list(await asyncio.gather(*(one(url) for url in urls)))


@cache
def _ssl_context() -> ssl.SSLContext:
    """One for the process: reading the system's certificates takes 40 ms."""
    return httpcore.default_ssl_context()


class _Batch:
    """One batch: its connections, and what is known of its hosts."""

    def __init__(self, config: FetchConfig, pool: httpcore.AsyncConnectionPool, hosts: Hosts) -> None:
        self._config = config
        self._pool = pool
        self._hosts = hosts
        wait = {"connect": config.connect_s, "read": config.read_s, "write": config.read_s, "pool": config.total_s}
        self._extensions = {"timeout": wait}

    async def fetch(self, url: str) -> Fetched | FetchFailure:
        """Attempts until one succeeds, the failure will not pass, or there were enough."""
        outcome = await self._attempt(url)
        for number in range(1, self._config.max_attempts):
            if isinstance(outcome, Fetched) or outcome.reason not in TRANSIENT:
                return outcome
            wait_s = outcome.wait_s if outcome.wait_s is not None else self._config.backoff_s * 2 ** (number - 1)
            if wait_s > self._config.max_wait_s:
                return outcome
            await asyncio.sleep(wait_s)
            outcome = await self._attempt(url)
        return outcome

    async def _attempt(self, url: str) -> Fetched | FetchFailure:
        deadline = _Deadline(self._config.total_s)
        target = url
        for _ in range(self._config.max_redirects + 1):
            try:
                asked = parsed(target, ports=self._config.ports)
            except Forbidden as error:
                return FetchFailure(cast("FetchReason", error.reason), error.detail)
            outcome = await self._ask(asked, deadline)
            if not isinstance(outcome, _Elsewhere):
                return outcome
            target = outcome.url
        return FetchFailure("too_many_redirects", f"more than {self._config.max_redirects} redirects, the last to {target[:200]}")

    async def _ask(self, url: httpx.URL, deadline: "_Deadline") -> "Fetched | FetchFailure | _Elsewhere":
        async with self._hosts.turn(url.host):
            if self._hosts.is_given_up(url.host):
                return FetchFailure("host_given_up", f"host {url.host!r} did not answer {self._config.max_host_failures} times")
            outcome = await self._answer(url, deadline)
        if isinstance(outcome, FetchFailure) and outcome.reason in _NO_ANSWER:
            self._hosts.failed(url.host)
        else:
            self._hosts.answered(url.host)
        if isinstance(outcome, FetchFailure) and outcome.wait_s:
            self._hosts.leave_alone(url.host, min(outcome.wait_s, self._config.max_wait_s))
        return outcome

    async def _answer(self, url: httpx.URL, deadline: "_Deadline") -> "Fetched | FetchFailure | _Elsewhere":
        """One request, with everything that may go wrong on the wire as a value."""
        try:
            async with deadline.running():
                return await self._request(url)
        except Forbidden as error:
            return FetchFailure(cast("FetchReason", error.reason), error.detail)
        except _Refused as refused:
            return refused.failure
        except (TimeoutError, httpcore.TimeoutException) as error:
            return FetchFailure("timeout", f"{type(error).__name__} at {url.host}, {self._config.total_s:g} s in all")
        except (httpcore.ConnectError, ssl.SSLError) as error:
            return FetchFailure("tls" if _is_about_tls(error) else "unreachable", f"{url.host}: {error}"[:200])
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, zlib.error, UnknownEncoding) as error:
            return FetchFailure("broken_response", f"{url.host}: {type(error).__name__}: {error}"[:200])

    async def _request(self, url: httpx.URL) -> "Fetched | _Elsewhere":
        agent = self._config.user_agent
        named = {"Host": url.netloc.decode("ascii"), "User-Agent": agent, "Accept": "image/*", "Accept-Encoding": "identity"}
        headers = [(name.encode(), value.encode()) for name, value in named.items()]
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        async with self._pool.stream("GET", target, headers=headers, extensions=self._extensions) as response:
            said = Headers(response.headers)
            refusal = opt_out(said.all("x-robots-tag"), refused=self._config.respected, agent=agent)
            if refusal is not None:
                raise _Refused(FetchFailure("opted_out", f"X-Robots-Tag: {refusal}"))
            if response.status in _REDIRECTS and (location := said.first("location")):
                return _Elsewhere(_joined(url, location))
            if response.status != 200:
                wait_s = retry_after_s(said.first("retry-after"))
                raise _Refused(FetchFailure(_BY_STATUS.get(response.status, "http_error"), f"status {response.status}", wait_s))
            return Fetched(await self._content(response, said), str(url))

    async def _content(self, response: httpcore.Response, said: "Headers") -> bytes:
        """The answer unpacked, refused as soon as it is too large or turns out to be no picture."""
        limit = self._config.max_bytes
        stated = said.first("content-length") or ""
        if stated.isdecimal() and int(stated) > limit:
            raise _Refused(FetchFailure("too_large", f"{stated} bytes announced, at most {limit} are read"))
        content, is_checked = bytearray(), self._config.accept == "anything"
        async for part in unpacked(response, said.first("content-encoding"), limit=limit):
            content += part
            if len(content) > limit:
                raise _Refused(FetchFailure("too_large", f"more than {limit} bytes"))
            if not is_checked and len(content) >= _SNIFF_BYTES:
                _refuse_other_than_pictures(content, said)
                is_checked = True
        if not is_checked:
            _refuse_other_than_pictures(content, said)
        return bytes(content)


class _Elsewhere(NamedTuple):
    """A redirect."""

    url: str


class _Refused(Exception):
    """Leaves the reading of an answer, whose connection is then closed."""

    def __init__(self, failure: FetchFailure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class _Deadline:
    """Time that is left for an attempt. Waiting for a turn at a host does not count: that is our doing, not the server's."""

    def __init__(self, seconds: float) -> None:
        self._left_s = seconds

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Counts while it is held.

        Raises:
            TimeoutError: nothing is left.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, self._left_s)):
                yield
        finally:
            self._left_s -= time.monotonic() - began


def _refuse_other_than_pictures(content: bytearray, said: Headers) -> None:
    start = bytes(content[:_SNIFF_BYTES])
    if kind_of(start) is None:
        claimed = f", content type {said.first('content-type')[:40]!r}"
        raise _Refused(FetchFailure("not_a_picture", foreign_kind(start) + claimed))


def _joined(url: httpx.URL, location: str) -> str:
    """Where a redirect leads. What cannot be joined is handed on as it is, and refused there by its spelling."""
    try:
        return str(url.join(location))
    except (httpx.InvalidURL, ValueError):
        return location


def _is_about_tls(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
