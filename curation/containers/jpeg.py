"""JPEG: walking markers from the start to the end of the image (ITU-T T.81, annex B).

The walk finds what a decoder does not report: whether the end marker is there, what follows it, how many scans there are.
Searching for the last end marker instead was rejected: previews inside EXIF data and behind the picture have one of their own.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from curation.containers.exif import orientation_in
from curation.containers.header import MAX_ICC_BYTES, Colour, Header, Undecodable, header_of, require_pixels

MAX_SCANS = 128
"""A progressive picture has about ten scans; thousands of them are an attack on the decoder's time."""

_MARKER_IN_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither a stuffed byte, a restart, nor a fill byte
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_APP1, _APP2, _SCAN, _END = 0xE1, 0xE2, 0xDA, 0xD9
_ICC = b"ICC_PROFILE\x00"
_COLOURS: Mapping[int, Colour] = {1: "grey", 3: "rgb", 4: "cmyk"}


class _Segment(NamedTuple):
    marker: int
    content: memoryview


class _Structure(NamedTuple):
    segments: list[_Segment]
    scan_bytes: int
    end: int


def read_jpeg(encoded: bytes, *, max_pixels: int) -> Header:
    """Header of a JPEG file that has an end.

    Raises:
        Undecodable: see `curation.decode.probe`.
    """
    structure = _walk(encoded)
    frame = next((segment.content for segment in structure.segments if segment.marker in _FRAMES), None)
    if frame is None or len(frame) < 6:
        raise Undecodable("damaged", "no frame header (SOF)")
    height, width, num_components = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big"), frame[5]
    require_pixels(width, height, max_pixels)
    num_blocks = -(-width // 8) * -(-height // 8)
    if structure.scan_bytes * 8 < num_blocks:  # a block of 8 x 8 takes one bit at the very least
        raise Undecodable("truncated", f"{structure.scan_bytes} bytes of data cannot hold {width} x {height} px")
    return header_of(
        "jpeg",
        (width, height),
        orientation=_orientation(structure.segments),
        colour=_COLOURS.get(num_components, "other"),
        icc=_profile(structure.segments),
        trailing_bytes=len(encoded) - structure.end,
    )


def _walk(encoded: bytes) -> _Structure:
    view = memoryview(encoded)
    segments: list[_Segment] = []
    at, scan_bytes, num_scans = 2, 0, 0
    while True:
        marker, at = _next_marker(encoded, at)
        if marker == _END:
            return _Structure(segments, scan_bytes, at)
        if marker in _STANDALONE:
            continue
        length = int.from_bytes(encoded[at : at + 2], "big")
        if length < 2:
            raise Undecodable("damaged", f"segment {marker:#x} of {length} bytes") if at + 2 <= len(encoded) else _cut(encoded)
        segments.append(_Segment(marker, view[at + 2 : at + length]))
        at += length
        if marker == _SCAN:
            num_scans += 1
            ends = _end_of_scan(encoded, at)
            scan_bytes, at = scan_bytes + ends - at, ends
        if num_scans > MAX_SCANS:
            raise Undecodable("bomb", f"more than {MAX_SCANS} scans")


def _next_marker(encoded: bytes, at: int) -> tuple[int, int]:
    """The marker at this place and where its segment begins; bytes in between are skipped, as decoders do."""
    at = encoded.find(b"\xff", at)
    while 0 <= at < len(encoded) - 1:
        if encoded[at + 1] not in (0x00, 0xFF):
            return encoded[at + 1], at + 2
        at = encoded.find(b"\xff", at + 1)
    raise _cut(encoded)


def _end_of_scan(encoded: bytes, at: int) -> int:
    found = _MARKER_IN_SCAN.search(encoded, at)
    if found is None:
        raise _cut(encoded)
    return found.start()


def _cut(encoded: bytes) -> Undecodable:
    return Undecodable("truncated", f"no end marker (EOI) in {len(encoded)} bytes")


def _orientation(segments: list[_Segment]) -> int:
    for segment in segments:
        if segment.marker == _APP1 and bytes(segment.content[:6]) == b"Exif\x00\x00":
            return orientation_in(bytes(segment.content))
    return 1


def _profile(segments: list[_Segment]) -> bytes:
    """The ICC profile put together from its parts (ICC.1:2022, annex B.4); b"" when a part is missing."""
    parts = {
        one.content[len(_ICC)]: one.content[len(_ICC) + 2 :]
        for one in segments
        if one.marker == _APP2 and len(one.content) > len(_ICC) + 2 and bytes(one.content[: len(_ICC)]) == _ICC
    }
    if sorted(parts) != list(range(1, len(parts) + 1)):
        return b""
    num_bytes = sum(map(len, parts.values()))
    if num_bytes > MAX_ICC_BYTES:
        raise Undecodable("bomb", f"a colour profile of {num_bytes} bytes, at most {MAX_ICC_BYTES} are read")
    return b"".join(parts[number] for number in sorted(parts))
