"""Which hosts may be asked: public ones, and private ones that somebody allowed by name.

A URL list is written by strangers, and whoever fetches it stands inside a network. So the address is checked, not the name: every
address that a name resolves to, at every connection, and the connection is made to the very address that was checked. Between the
two a name cannot change its meaning. A list of forbidden names was rejected: names for 127.0.0.1 are free for the asking.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import cast

import httpcore
import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_V4_COMPATIBLE = ipaddress.IPv6Network("::/96")
_TUNNELS = tuple(ipaddress.IPv6Network(each) for each in ("2002::/16", "2001::/32", "64:ff9b:1::/48", "fec0::/10", "5f00::/16"))
_RELAYS_TO_6TO4 = ipaddress.IPv4Network("192.88.99.0/24")
_ISATAP = (0x00005EFE, 0x02005EFE)
_NUMERIC_LABEL = re.compile(r"\A(?:[0-9]+|0[xX][0-9a-fA-F]*)\Z")
_CREDENTIALS = re.compile(r"[^/?#]*//[^/?#]*@")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_MAX_URL_CHARACTERS = 8192
_MAX_ADDRESSES_TRIED = 3


class Forbidden(Exception):
    """A URL or an address that is not asked.

    Attributes:
        reason: a name from `curation.fetch.FetchReason`.
        detail: what was seen.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks such as ``10.1.0.0/16`` or ``127.0.0.1``.

    Raises:
        ValueError: one of them is not a network.
    """
    return tuple(ipaddress.ip_network(text) for text in texts)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, also when it is an IPv4 address in IPv6 clothes."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inner_v4(address)
        if inner is not None:
            return is_public(inner)
        if any(address in tunnel for tunnel in _TUNNELS) or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
            return False
    if address in _RELAYS_TO_6TO4:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def parsed(text: str, *, ports: Sequence[int]) -> httpx.URL:
    """A URL that may be asked as far as its spelling goes; addresses are checked when the connection is made.

    Raises:
        Forbidden: not an absolute http or https URL, credentials in it, another port, or a number spelled to deceive.
    """
    if len(text) > _MAX_URL_CHARACTERS or _UNSAFE.search(text):
        raise Forbidden("bad_url", f"{text[:80]!r} has blanks, control characters or backslashes, or is too long")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise Forbidden("bad_url", f"{text[:80]!r}: {error}") from error
    if url.scheme not in ("http", "https"):
        raise Forbidden("forbidden_scheme", f"scheme {url.scheme!r}, expected http or https")
    if url.userinfo or _CREDENTIALS.match(text):
        raise Forbidden("forbidden_userinfo", f"credentials in the URL for host {url.host!r}")
    if not url.host:
        raise Forbidden("bad_url", f"{text[:80]!r} names no host")
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    if port not in ports:
        raise Forbidden("forbidden_port", f"port {port}, allowed are {', '.join(map(str, ports))}")
    _refuse_deceptive_number(url.host)
    return url


async def resolved(host: str, port: int, *, allowed: Sequence[Network]) -> list[Address]:
    """All addresses of a host, each of them checked.

    Raises:
        Forbidden: one of them is not public and not in `allowed`, or the name has none.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Forbidden("unresolvable", f"host {host!r}: {error}") from error
    addresses = [ipaddress.ip_address(sockaddr[0]) for *_, sockaddr in found]
    for address in addresses:
        if not is_public(address) and not any(address in network for network in allowed):
            raise Forbidden("forbidden_address", f"host {host!r} is {address}, which is not public")
    return list(dict.fromkeys(addresses))


def _inner_v4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64 or address in _V4_COMPATIBLE:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _refuse_deceptive_number(host: str) -> None:
    """Refuse 127.1, 2130706433, 0x7f.0.0.1 and 0177.0.0.1: programs disagree on what they mean."""
    last = host.rstrip(".").rpartition(".")[2]
    if not _NUMERIC_LABEL.match(last):
        return
    try:
        ipaddress.IPv4Address(host)
    except ValueError as error:
        raise Forbidden("forbidden_address", f"host {host!r} is a number, but not a plain IPv4 address") from error


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections to checked addresses only; TLS is spoken over them with the name that was asked for."""

    def __init__(self, allowed: Sequence[Network], *, connect_s: float) -> None:
        self._allowed = allowed
        self._connect_s = connect_s
        self._inner = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:  # fmt: skip
        """Resolve, check, connect: to the first address that answers.

        Raises:
            Forbidden: see `resolved`.
            httpcore.ConnectError: none of the addresses answers.
        """
        async with asyncio.timeout(self._connect_s):
            addresses = await resolved(host, port, allowed=self._allowed)
        last: Exception = httpcore.ConnectError(f"host {host!r} has no address")
        for address in addresses[:_MAX_ADDRESSES_TRIED]:
            try:
                return _Stream(await self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last

    async def sleep(self, seconds: float) -> None:
        """As httpcore asks for it."""
        await self._inner.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """A connection that is closed when a deadline passes while TLS is being agreed on; httpcore 1.0 leaves it open then."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._inner.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await self._inner.aclose()
            raise

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)
