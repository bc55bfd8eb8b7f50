"""PNG: walking chunks (PNG third edition, clause 5), with checksums, and with compressed side data unpacked to a limit."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from curation.containers.exif import orientation_in
from curation.containers.header import MAX_ICC_BYTES, Header, Undecodable, header_of, require_pixels

MAX_TEXT_BYTES = 2**20
"""A compressed text chunk that unpacks to more is refused: PIL's limit, too."""

MAX_DATA_OVERHEAD_BYTES = 4096
"""What an encoder may waste on headers of blocks, on top of twice the unpacked rows."""

MAX_CHUNKS = 100_000
"""Encoders that write a chunk a row stay far below; each costs a step of the walk."""

_MAX_DEFLATE_RATIO = 1032
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})


class _Chunk(NamedTuple):
    name: bytes
    content: memoryview
    end: int


def read_png(encoded: bytes, *, max_pixels: int) -> Header:
    """Header of a PNG file whose chunks are whole.

    Raises:
        Undecodable: see `curation.decode.probe`.
    """
    ihdr, num_data_bytes, icc, orientation, end = None, 0, b"", 1, 0
    for chunk in _chunks(encoded):
        end = chunk.end
        match chunk.name:
            case b"IHDR":
                ihdr = _image_header(chunk.content, max_pixels)
            case b"IDAT":
                num_data_bytes += len(chunk.content)
            case b"iCCP":
                icc = _unpacked(_after_name(chunk.content, 2), MAX_ICC_BYTES, "colour profile")
            case b"zTXt":
                _unpacked(_after_name(chunk.content, 2), MAX_TEXT_BYTES, "text")
            case b"iTXt":
                _check_international_text(chunk.content)
            case b"eXIf":
                orientation = orientation_in(bytes(chunk.content))
    if ihdr is None:
        raise Undecodable("damaged", "no image header (IHDR)")
    _check_amount(num_data_bytes, ihdr)
    return header_of("png", ihdr[:2], orientation=orientation, icc=icc, trailing_bytes=len(encoded) - end)


def _chunks(encoded: bytes) -> Iterator[_Chunk]:
    view, at = memoryview(encoded), 8
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(encoded):
            raise Undecodable("truncated", f"no end chunk (IEND) in {len(encoded)} bytes")
        length, name = int.from_bytes(encoded[at : at + 4], "big"), encoded[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(encoded):
            raise Undecodable("truncated", f"chunk {name!r} of {length} bytes, {len(encoded) - at - 12} are there")
        stated = int.from_bytes(encoded[end - 4 : end], "big")
        if name in _CRITICAL and zlib.crc32(view[at + 4 : end - 4]) != stated:
            raise Undecodable("damaged", f"wrong checksum of chunk {name!r} at byte {at}")
        yield _Chunk(name, view[at + 8 : end - 4], end)
        if name == b"IEND":
            return
        at = end
    raise Undecodable("bomb", f"more than {MAX_CHUNKS} chunks")


def _image_header(content: memoryview, max_pixels: int) -> tuple[int, int, int]:
    """Width, height, and bytes of the unpacked rows."""
    if len(content) != 13:
        raise Undecodable("damaged", f"an image header of {len(content)} bytes, expected 13")
    width, height, depth, colour = struct.unpack_from(">IIBB", content)
    require_pixels(width, height, max_pixels)
    if colour not in _CHANNELS:
        raise Undecodable("damaged", f"colour type {colour}")
    return width, height, height * (1 + -(-width * depth * _CHANNELS[colour] // 8))


def _check_amount(num_data_bytes: int, ihdr: tuple[int, int, int]) -> None:
    """Compare packed with unpacked size: what cannot be enough, and what must be too much."""
    width, height, num_raw_bytes = ihdr
    stated = f"{num_data_bytes} bytes of data for {width} x {height} px"
    if num_data_bytes * _MAX_DEFLATE_RATIO < num_raw_bytes:
        raise Undecodable("truncated", f"{stated} cannot be enough")
    if num_data_bytes > 2 * num_raw_bytes + MAX_DATA_OVERHEAD_BYTES:
        raise Undecodable("bomb", f"{stated} are more than the picture")


def _after_name(content: memoryview, skip: int) -> bytes:
    """What follows the keyword of a chunk, its terminator and the byte for the method of compression."""
    data = bytes(content)
    return data[data.find(b"\x00", 0, 80) + skip :] if b"\x00" in data[:80] else b""


def _check_international_text(content: memoryview) -> None:
    rest = _after_name(content, 1)
    if rest[:1] == b"\x01":  # compressed: flag, method, language\0, translated keyword\0, text
        _unpacked(rest[2:].split(b"\x00", 2)[-1], MAX_TEXT_BYTES, "text")


def _unpacked(packed: bytes, limit: int, what: str) -> bytes:
    """Unpacked side data, b"" when it is broken: that does not touch the pixels."""
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, limit + 1)
    except zlib.error:
        return b""
    if len(content) > limit:
        raise Undecodable("bomb", f"{len(packed)} bytes of {what} unpack to more than {limit}")
    return content
