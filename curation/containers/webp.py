"""WebP: walking RIFF chunks (RFC 9649). The size is read before libwebp is asked, which allocates the whole canvas at once."""

from collections.abc import Iterator
from typing import NamedTuple

from curation.containers.exif import orientation_in
from curation.containers.header import MAX_ICC_BYTES, Colour, Header, Undecodable, header_of, require_pixels

MAX_CHUNKS = 100_000

_PLAIN = b"VP8 "
"""First chunk of files of one frame, lossy, opaque and without anything beside it."""


class _Chunk(NamedTuple):
    name: bytes
    content: memoryview


def read_webp(encoded: bytes, *, max_pixels: int) -> Header:
    """Header of a WebP file that is as long as it says.

    Raises:
        Undecodable: see `curation.decode.probe`.
    """
    end = 8 + int.from_bytes(encoded[4:8], "little")
    if end > len(encoded):
        raise Undecodable("truncated", f"{len(encoded)} bytes of {end}")
    size: tuple[int, int] | None = None
    orientation, icc = 1, b""
    colour: Colour = "other"
    for chunk in _chunks(encoded, end):
        if size is None:
            size = _size(chunk)
            require_pixels(*size, max_pixels)
            colour = "rgb" if chunk.name == _PLAIN else "other"
        if chunk.name == b"EXIF":
            orientation = orientation_in(bytes(chunk.content))
        elif chunk.name == b"ICCP":
            icc = _limited(chunk.content)
    if size is None:
        raise Undecodable("damaged", "no chunk")
    return header_of(
        "webp", size, orientation=orientation, colour=colour, icc=icc, trailing_bytes=len(encoded) - end
    )


def _chunks(encoded: bytes, end: int) -> Iterator[_Chunk]:
    view, at = memoryview(encoded), 12
    for _ in range(MAX_CHUNKS):
        if at + 8 > end:
            return
        length = int.from_bytes(encoded[at + 4 : at + 8], "little")
        if at + 8 + length > end:
            raise Undecodable("truncated", f"chunk {encoded[at : at + 4]!r} of {length} bytes, {end - at - 8} are there")
        yield _Chunk(encoded[at : at + 4], view[at + 8 : at + 8 + length])
        at += 8 + length + (length & 1)
    raise Undecodable("bomb", f"more than {MAX_CHUNKS} chunks")


def _size(first: _Chunk) -> tuple[int, int]:
    content = first.content
    if len(content) < 10:
        raise Undecodable("damaged", f"first chunk {first.name!r} of {len(content)} bytes")
    match first.name:
        case b"VP8X":
            return 1 + int.from_bytes(content[4:7], "little"), 1 + int.from_bytes(content[7:10], "little")
        case b"VP8L":
            bits = int.from_bytes(content[1:5], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case name if name == _PLAIN:
            return int.from_bytes(content[6:8], "little") & 0x3FFF, int.from_bytes(content[8:10], "little") & 0x3FFF
    raise Undecodable("damaged", f"first chunk {first.name!r}")


def _limited(profile: memoryview) -> bytes:
    if len(profile) > MAX_ICC_BYTES:
        raise Undecodable("bomb", f"a colour profile of {len(profile)} bytes, at most {MAX_ICC_BYTES} are read")
    return bytes(profile)
