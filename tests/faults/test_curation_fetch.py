"""Servers that lie, stall and lure: every one of them costs bounded time and memory, and none leads into a private network.

The server of these tests is on a loopback address, which the allow-list lets through; everything else private stays forbidden.
"""

import gzip
import io
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import quote, unquote

import numpy as np
import pytest
from PIL import Image

from curation.fetch import FetchConfig, Fetched, Fetcher, FetchFailure

ADDRESS = "127.0.0.1"
CRLF = b"\r\n"


def picture(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = picture()


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {size}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + CRLF * 2 + body


class Website:
    """A server on a socket of its own: a path is a behaviour, which is given the connection and the path."""

    def __init__(self, behaviours: dict[str, Callable[[socket.socket, str], None]]) -> None:
        self._behaviours = behaviours
        self.asked: list[str] = []
        self._listener = socket.create_server((ADDRESS, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path: str, host: str = ADDRESS) -> str:
        return f"http://{host}:{self.port}/{path}"

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            request = b""
            while CRLF * 2 not in request:
                part = connection.recv(4096)
                if not part:
                    return
                request += part
            path = request.split(b" ")[1].decode().lstrip("/")
            self.asked.append(path)
            try:
                self._behaviours[path.partition("/")[0]](connection, path.partition("/")[2])
            except (BrokenPipeError, ConnectionResetError):
                return


def says(content: bytes) -> Callable[[socket.socket, str], None]:
    return lambda connection, _: connection.sendall(content)


def drips(start: bytes, *, pause_s: float = 0.05) -> Callable[[socket.socket, str], None]:
    """A slow loris: a byte at a time, for as long as somebody listens."""

    def serve(connection: socket.socket, _: str) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(b"a")
            time.sleep(pause_s)

    return serve


def floods(start: bytes, block: bytes) -> Callable[[socket.socket, str], None]:
    def serve(connection: socket.socket, _: str) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(block)

    return serve


def redirects(connection: socket.socket, to: str) -> None:
    connection.sendall(answer(b"", f"Location: {unquote(to)}", status="302 Found"))


def stays_silent(connection: socket.socket, _: str) -> None:
    connection.recv(1)


def packed_zeros(num_megabytes: int, wrapper: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, wrapper)
    block = bytes(2**20)
    return b"".join(packer.compress(block) for _ in range(num_megabytes)) + packer.flush()


class Once:
    """Fails a number of times, then serves the picture."""

    def __init__(self, failure: bytes, times: int) -> None:
        self.begun: list[float] = []
        self._failure, self._times = failure, times

    def __call__(self, connection: socket.socket, _: str) -> None:
        self.begun.append(time.monotonic())
        connection.sendall(self._failure if len(self.begun) <= self._times else answer(PICTURE))


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BEHAVIOURS: dict[str, Callable[[socket.socket, str], None]] = {
    "picture": says(answer(PICTURE, "Content-Type: text/html")),
    "html": says(answer(b"<html>" + bytes(4096), "Content-Type: image/png")),
    "svg": says(answer(b"<svg onload='alert(1)'/>", "Content-Type: image/svg+xml")),
    "empty": says(answer(b"")),
    "to": redirects,
    "loop": lambda connection, number: redirects(connection, f"/loop/{int(number or 0) + 1}"),
    "self": lambda connection, _: redirects(connection, "/self"),
    "gone": says(answer(b"", status="410 Gone")), "private": says(answer(b"", status="403 Forbidden")),
    "odd": says(answer(b"", status="418 Teapot")), "nowhere": says(answer(b"", status="302 Found")),
    "optout": says(answer(PICTURE, "X-Robots-Tag: noindex, noai")),
    "othersout": says(answer(PICTURE, "X-Robots-Tag: somebot: noai")),
    "silent": stays_silent,
    "slowheaders": drips(b"HTTP/1.1 200 OK\r\nX-Slow: "), "slowbody": drips(b"HTTP/1.1 200 OK\r\n\r\n" + PICTURE[:600]),
    "slowstatus": drips(b""), "slowchunks": drips(CHUNKED + b"5;"),
    "endless": floods(b"HTTP/1.1 200 OK\r\n\r\n" + PICTURE, bytes(65536)),
    "endlesschunks": floods(CHUNKED, b"8000\r\n" + bytes(0x8000) + CRLF),
    "endlessheaders": floods(b"HTTP/1.1 200 OK\r\n", b"X: " + b"a" * 1000 + CRLF),
    "endlesscontinue": floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "short": says(answer(PICTURE, length=len(PICTURE) + 1000)),
    "long": says(answer(PICTURE + b"more than was announced", length=len(PICTURE))),
    "huge": says(answer(PICTURE, length=2**40)), "negative": says(answer(PICTURE, length=-5)),
    "noise": says(b"\x00\xff" * 500), "hangup": lambda connection, _: connection.close(),
    "gzip": says(answer(gzip.compress(PICTURE), "Content-Encoding: gzip")),
    "deflate": says(answer(zlib.compress(PICTURE), "Content-Encoding: deflate")),
    "gzipbomb": says(answer(packed_zeros(256, 31), "Content-Encoding: gzip")),
    "deflatebomb": says(answer(packed_zeros(256, 15), "Content-Encoding: deflate")),
    "brokengzip": says(answer(b"\x1f\x8b" + bytes(100), "Content-Encoding: gzip")),
    "brotli": says(answer(PICTURE, "Content-Encoding: br")),
}  # fmt: skip


@pytest.fixture
def website() -> Iterator[Website]:
    site = Website(dict(BEHAVIOURS))
    yield site
    site.close()


def config(website: Website, **settings: object) -> FetchConfig:
    quick = {
        "ports": (80, 443, website.port), "allowed_networks": (f"{ADDRESS}/32",), "host_interval_s": 0.0, "backoff_s": 0.01,
        "max_attempts": 1, "connect_s": 1.0, "read_s": 0.4, "total_s": 1.0, "max_bytes": 2**20, "max_host_failures": 1000,
    }  # fmt: skip
    return FetchConfig.model_validate(quick | settings)


def outcome(website: Website, url: str, **settings: object) -> Fetched | FetchFailure:
    return Fetcher(config(website, **settings)).fetch_all([url])[0]


def spellings() -> list[str]:
    """Ways to name a place inside: by every kind of address, and by spellings that hide it."""
    v4 = [
        "0.0.0.0", "0.0.0.1", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.2", "127.1.2.3",
        "169.254.0.1",
        "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.254", "192.0.0.170", "192.0.2.7", "192.88.99.1",
        "192.168.0.1",
        "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.9", "203.0.113.9", "224.0.0.251", "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
    ]  # fmt: skip
    v6 = [
        "::", "::1", "::2", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::a00:1", "2002:7f00:1::",
        "2002:c0a8:1::1",
        "2002:a9fe:a9fe::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "fc00::1", "fd00:ec2::254",
        "fe80::1", "fec0::1", "ff02::1", "ff05::2", "100::1", "2606:4700::200:5efe:7f00:1",
    ]  # fmt: skip
    hidden = [
        "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1", "0177.0.0.1", "017700000001", "0", "00000000",
        "127.0.0.1.", "0xa9fea9fe", "2852039166", "3232235521", "localhost", "LOCALHOST", "localhost.", "①②⑦.⓪.⓪.①",
        "１２７.０.０.２",
    ]  # fmt: skip
    secrets = [
        "user@127.0.0.2",
        "user:word@10.0.0.1",
        "example.org:80@169.254.169.254",
        "example.org%40127.0.0.2",
        "127.0.0.2#@x",
    ]
    return [f"http://{host}/" for host in [*v4, *(f"[{each}]" for each in v6), *hidden, *secrets]]


REFUSALS = {"forbidden_address", "forbidden_userinfo", "bad_url", "unresolvable"}


def test_no_spelling_leads_inside(website: Website) -> None:
    urls = spellings()
    assert len(set(urls)) >= 75
    direct = Fetcher(config(website, allowed_networks=(), connect_s=3.0)).fetch_all(urls)
    reasons = dict(zip(urls, direct, strict=True))
    assert {url: one for url, one in reasons.items() if not isinstance(one, FetchFailure) or one.reason not in REFUSALS} == {}
    assert sum(one.reason == "forbidden_address" for one in direct if isinstance(one, FetchFailure)) >= 60


def test_no_redirect_leads_inside(website: Website) -> None:
    """The first hop is allowed by name; every other place inside stays forbidden."""
    targets = [*(url for url in spellings() if "localhost" not in url.lower() and "//127.0.0.1" not in url)]
    targets += [website.url("picture", host="127.0.0.2"), "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:6379/_"]
    targets += [f"http://{ADDRESS}:22/", f"//127.0.0.2:{website.port}/picture", f"http://{ADDRESS}:{website.port}@10.0.0.1/"]
    lures = [website.url("to/" + quote(target, safe="")) for target in targets]
    found = Fetcher(config(website, connect_s=3.0, total_s=5.0)).fetch_all(lures)
    allowed = {*REFUSALS, "forbidden_scheme", "forbidden_port"}
    wrong = {url: one for url, one in zip(targets, found, strict=True) if getattr(one, "reason", "fetched") not in allowed}
    assert wrong == {}
    assert "picture" not in website.asked
    assert len(found) >= 60


def test_a_private_place_is_reached_only_when_it_is_allowed(website: Website) -> None:
    inside = outcome(website, website.url("picture"))
    assert inside == Fetched(PICTURE, website.url("picture"))
    for networks in ((), ("10.0.0.0/8",), ("127.0.0.2/32",)):
        refused = outcome(website, website.url("picture"), allowed_networks=networks)
        assert isinstance(refused, FetchFailure)
        assert refused.reason == "forbidden_address"


class Resolver:
    """Answers for names of these tests; the real one is asked for the rest."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self.asked: list[str] = []
        self._answers = answers
        self._real = socket.getaddrinfo

    def __call__(self, host: str, port: int, *rest: int, **options: int) -> list[tuple]:
        if host not in self._answers:
            return self._real(host, port, *rest, **options)
        self.asked.append(host)
        turns = self._answers[host]
        addresses = turns.pop(0) if len(turns) > 1 else turns[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


def test_a_name_that_changes_its_meaning_is_connected_to_what_was_checked(
    website: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the second answer would be the forbidden one, and nobody asks for it."""
    resolver = Resolver({"rebind.example": [[ADDRESS], ["127.0.0.2"]]})
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    url = website.url("picture", host="rebind.example")
    assert outcome(website, url) == Fetched(PICTURE, url)
    assert resolver.asked == ["rebind.example"]
    later = outcome(website, url)
    assert isinstance(later, FetchFailure)
    assert later.reason == "forbidden_address"


def test_one_private_address_among_public_ones_is_enough_to_refuse(website: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Resolver({"mixed.example": [[ADDRESS, "10.0.0.9"]]}))
    refused = outcome(website, website.url("picture", host="mixed.example"))
    assert isinstance(refused, FetchFailure)
    assert (refused.reason, website.asked) == ("forbidden_address", [])


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("html", "not_a_picture"), ("svg", "not_a_picture"), ("empty", "not_a_picture"), ("gone", "not_found"),
        ("private", "denied"),
        ("odd", "http_error"), ("nowhere", "http_error"), ("optout", "opted_out"), ("short", "broken_response"),
        ("huge", "too_large"),
        ("negative", "broken_response"), ("noise", "broken_response"), ("hangup", "broken_response"),
        ("endless", "too_large"),
        ("endlesschunks", "too_large"), ("endlessheaders", "broken_response"), ("gzipbomb", "too_large"),
        ("deflatebomb", "too_large"),
        ("brokengzip", "broken_response"), ("brotli", "broken_response"), ("self", "too_many_redirects"),
        ("loop/0", "too_many_redirects"),
    ],
)  # fmt: skip
def test_every_misbehaviour_has_its_name(website: Website, path: str, reason: str) -> None:
    began = time.monotonic()
    failure = outcome(website, website.url(path), accept="anything" if "bomb" in path or "endless" in path else "pictures")
    assert isinstance(failure, FetchFailure)
    assert failure.reason == reason, failure
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("path", ["silent", "slowheaders", "slowbody", "slowstatus", "slowchunks", "endlesscontinue"])
def test_whoever_stalls_is_left_at_the_deadline(website: Website, path: str) -> None:
    began = time.monotonic()
    failure = outcome(website, website.url(path), total_s=0.8)
    assert isinstance(failure, FetchFailure)
    assert failure.reason in ("timeout", "broken_response"), failure
    assert time.monotonic() - began < 2


def test_content_is_told_by_its_bytes_and_unpacked(website: Website) -> None:
    for path in (
        "picture",
        "gzip",
        "deflate",
        "long",
        "othersout",
        "to/" + quote(website.url("picture"), safe=""),
        "to/..%2Fpicture",
    ):
        found = outcome(website, website.url(path))
        assert isinstance(found, Fetched), (path, found)
        assert found.content == PICTURE
    assert outcome(website, website.url("optout"), respected=frozenset()) == Fetched(PICTURE, website.url("optout"))


@pytest.mark.parametrize("failure", [answer(b"", status="503 Busy"), b"", answer(PICTURE, length=9999)])
def test_what_may_pass_is_tried_again_and_nothing_else_is(website: Website, failure: bytes) -> None:
    website._behaviours["twice"] = Once(failure, times=2)
    assert isinstance(outcome(website, website.url("twice"), max_attempts=3), Fetched)
    website._behaviours["thrice"] = Once(failure, times=3)
    assert isinstance(outcome(website, website.url("thrice"), max_attempts=3), FetchFailure)
    website._behaviours["gone"] = gone = Once(answer(b"", status="404 Not Found"), times=9)
    assert isinstance(outcome(website, website.url("gone"), max_attempts=3), FetchFailure)
    assert len(gone.begun) == 1


def test_a_server_that_asks_for_patience_gets_it(website: Website) -> None:
    website._behaviours["busy"] = busy = Once(answer(b"", "Retry-After: 1", status="429 Too Many Requests"), times=1)
    assert isinstance(outcome(website, website.url("busy"), max_attempts=2), Fetched)
    assert busy.begun[1] - busy.begun[0] >= 0.99
    website._behaviours["closed"] = closed = Once(answer(b"", "Retry-After: 86400", status="503 Closed"), times=9)
    failure = outcome(website, website.url("closed"), max_attempts=5)
    assert isinstance(failure, FetchFailure)
    assert (failure.reason, failure.wait_s, len(closed.begun)) == ("server_error", 86400, 1)


def test_a_host_that_does_not_answer_is_given_up(website: Website) -> None:
    urls = [website.url(f"silent/{number}") for number in range(12)]
    began = time.monotonic()
    found = Fetcher(config(website, max_host_failures=2, host_concurrency=1, read_s=0.2)).fetch_all(urls)
    reasons = [one.reason for one in found if isinstance(one, FetchFailure)]
    assert reasons.count("timeout") == 2
    assert reasons.count("host_given_up") == 10
    assert time.monotonic() - began < 3


def test_many_are_fetched_in_order_and_one_bad_one_does_not_hold_up_the_rest(website: Website) -> None:
    urls = [website.url("silent" if number == 3 else f"picture/{number}") for number in range(40)]
    found = Fetcher(config(website, host_concurrency=8)).fetch_all(urls)
    assert [isinstance(one, Fetched) for one in found] == [number != 3 for number in range(40)]
    assert [one.url for one in found if isinstance(one, Fetched)] == [url for url in urls if "silent" not in url]


def test_nobody_at_home_is_unreachable(website: Website) -> None:
    website.close()
    with socket.create_server((ADDRESS, 0)) as gone:
        port = gone.getsockname()[1]
    failure = outcome(website, f"http://{ADDRESS}:{port}/", ports=(port,))
    assert isinstance(failure, FetchFailure)
    assert failure.reason == "unreachable"


def test_a_server_that_speaks_no_tls_is_named(website: Website) -> None:
    failure = outcome(website, website.url("picture").replace("http:", "https:"))
    assert isinstance(failure, FetchFailure)
    assert failure.reason in ("tls", "broken_response", "timeout")
