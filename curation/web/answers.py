"""Parts of an HTTP answer: its headers, and its content unpacked to a limit."""

import zlib
from collections.abc import AsyncIterator, Iterable

import httpcore

_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_ANY_WRAPPER = 47  # zlib finds out by itself whether a gzip or a zlib header is there


class UnknownEncoding(ValueError):
    """An answer packed in a way that was not asked for."""


class Headers:
    """Headers of an answer by name; a name may come several times."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]

    def all(self, name: str) -> list[str]:
        """Values in the order in which they came."""
        return [value for each, value in self._pairs if each == name]

    def first(self, name: str) -> str:
        """The first value, "" when there is none."""
        return next(iter(self.all(name)), "")


async def unpacked(response: httpcore.Response, encoding: str, *, limit: int) -> AsyncIterator[bytes]:
    """The content part by part; no part is larger than `limit` + 1, so a bomb is noticed before it goes off.

    Raises:
        UnknownEncoding: neither plain, gzip nor deflate.
        zlib.error: not what the header says.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        async for part in response.aiter_stream():
            yield part
    elif encoding in _PACKED:
        unpacker = zlib.decompressobj(_ANY_WRAPPER)
        async for part in response.aiter_stream():
            yield unpacker.decompress(part, limit + 1)
            if unpacker.unconsumed_tail:  # only when a part reached the limit; the reader has stopped by then
                return
    else:
        raise UnknownEncoding(f"content encoding {encoding[:40]!r}, identity was asked for")
