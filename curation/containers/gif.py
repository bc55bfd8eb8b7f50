"""GIF: walking blocks up to the trailer (GIF89a specification). Frames after the first are stepped over, never decoded."""

from curation.containers.header import Header, Undecodable, header_of, require_pixels

MAX_BLOCKS = 2_000_000
"""Blocks that are stepped over; at most 255 bytes each, so this covers files of half a gigabyte."""

_EXTENSION, _FRAME, _TRAILER = 0x21, 0x2C, 0x3B


def read_gif(encoded: bytes, *, max_pixels: int) -> Header:
    """Header of a GIF file with at least one frame; the size covers the screen and the first frame, as PIL has it.

    Raises:
        Undecodable: see `curation.decode.probe`.
    """
    if len(encoded) < 13:
        raise _cut(encoded)
    width, height = _pair(encoded, 6)
    at = 13 + _table_bytes(encoded[10])
    has_frame, budget = False, MAX_BLOCKS
    while at < len(encoded) and encoded[at] != _TRAILER:
        if encoded[at] == _FRAME:
            if not has_frame:
                width, height = _covering(encoded, at, (width, height))
                require_pixels(width, height, max_pixels)
            has_frame = True
            at = _after_frame_header(encoded, at)
        elif encoded[at] == _EXTENSION:
            at += 2
        elif encoded[at] == 0:  # padding between blocks, which some encoders leave
            at += 1
            continue
        else:
            raise Undecodable("damaged", f"unknown block {encoded[at]:#x} at byte {at}")
        at, budget = _after_blocks(encoded, at, budget)
    if at >= len(encoded):
        raise _cut(encoded)
    if not has_frame:
        raise Undecodable("damaged", "no frame")
    return header_of("gif", (width, height), trailing_bytes=len(encoded) - at - 1)


def _covering(encoded: bytes, at: int, screen: tuple[int, int]) -> tuple[int, int]:
    if at + 10 > len(encoded):
        raise _cut(encoded)
    (left, top), (width, height) = _pair(encoded, at + 1), _pair(encoded, at + 5)
    return max(screen[0], left + width), max(screen[1], top + height)


def _after_frame_header(encoded: bytes, at: int) -> int:
    if at + 10 >= len(encoded):
        raise _cut(encoded)
    return at + 11 + _table_bytes(encoded[at + 9])


def _after_blocks(encoded: bytes, at: int, budget: int) -> tuple[int, int]:
    while at < len(encoded) and encoded[at]:
        at += 1 + encoded[at]
        budget -= 1
        if budget < 0:
            raise Undecodable("bomb", f"more than {MAX_BLOCKS} blocks")
    return at + 1, budget


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _pair(encoded: bytes, at: int) -> tuple[int, int]:
    return int.from_bytes(encoded[at : at + 2], "little"), int.from_bytes(encoded[at + 2 : at + 4], "little")


def _cut(encoded: bytes) -> Undecodable:
    return Undecodable("truncated", f"no trailer in {len(encoded)} bytes")
