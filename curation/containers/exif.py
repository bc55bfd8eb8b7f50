"""The one thing we need of EXIF data: which way up the picture goes.

Read by hand: PIL parses every tag and its values, which costs more than the scaled decode of a small picture.
"""

import struct

_ORIENTATION = 0x0112
_SHORT = 3
_MAX_ENTRIES = 512


def orientation_in(exif: bytes) -> int:
    """EXIF orientation 1 to 8 from a TIFF header onwards (``Exif`` and two zeros before it are skipped); 1 when there is none."""
    data = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return 1
    (first,) = struct.unpack_from(f"{order}I", data, 4)
    if first + 2 > len(data):
        return 1
    (num_entries,) = struct.unpack_from(f"{order}H", data, first)
    for index in range(min(num_entries, _MAX_ENTRIES)):
        at = first + 2 + 12 * index
        if at + 12 > len(data):
            return 1
        tag, kind = struct.unpack_from(f"{order}HH", data, at)
        if tag == _ORIENTATION and kind == _SHORT:
            (value,) = struct.unpack_from(f"{order}H", data, at + 8)
            return value if 1 <= value <= 8 else 1
    return 1
