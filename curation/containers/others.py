"""BMP, TIFF and AVIF: opened by PIL, which reads their directories without decoding pixels."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, TiffImagePlugin

from curation.containers.header import MAX_ICC_BYTES, Header, Kind, Undecodable, header_of, require_pixels
from infra.errors import one_line_with_type

BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, IndexError, KeyError, OverflowError, TypeError,
    ZeroDivisionError, MemoryError, RuntimeError,
)  # fmt: skip
"""What PIL raises on damaged files: UnidentifiedImageError and truncation are OSErrors, broken PNG chunks SyntaxErrors, sizes
that cannot be allocated MemoryErrors, tags of the wrong type TypeErrors, what libavif finds RuntimeErrors."""

_ORIENTATION = 0x0112
_TILE_WIDTH, _TILE_HEIGHT = 322, 323


def open_as(kind: Kind, encoded: bytes) -> Image.Image:
    """The picture, not decoded yet, opened as this format and no other.

    Raises:
        Undecodable: not a file of that format.
    """
    try:
        with quiet():
            return Image.open(io.BytesIO(encoded), formats=(kind,))
    except Image.DecompressionBombError as error:
        raise Undecodable("too_large", in_words(error)) from error
    except BROKEN as error:
        raise Undecodable("damaged", in_words(error)) from error


def read_other(kind: Kind, encoded: bytes, *, max_pixels: int) -> Header:
    """Header of a file that has no walker of its own.

    Raises:
        Undecodable: see `curation.decode.probe`.
    """
    with quiet():
        return _described(kind, open_as(kind, encoded), max_pixels)


@contextmanager
def quiet() -> Iterator[None]:
    """Without PIL's warnings: of odd metadata, which does not touch the pixels, and of sizes, for which we have a limit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _described(kind: Kind, image: Image.Image, max_pixels: int) -> Header:
    require_pixels(image.width, image.height, max_pixels)
    icc = image.info.get("icc_profile") or b""
    if len(icc) > MAX_ICC_BYTES:
        raise Undecodable("bomb", f"a colour profile of {len(icc)} bytes, at most {MAX_ICC_BYTES} are read")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tiles(image, max_pixels)
        return header_of(kind, image.size, icc=icc)  # PIL turns TIFF files upright by itself
    orientation = _orientation(image) if kind == "avif" else 1
    return header_of(kind, image.size, orientation=orientation, icc=icc)


def in_words(error: BaseException) -> str:
    """An error of a decoder, short enough for a column."""
    return one_line_with_type(error, max_characters=200)


def _check_tiles(image: TiffImagePlugin.TiffImageFile, max_pixels: int) -> None:
    """A small picture may be cut into tiles that are huge, and decoders make room for a whole tile."""
    sides = [image.tag_v2.get(tag, 1) for tag in (_TILE_WIDTH, _TILE_HEIGHT)]
    if all(isinstance(side, int) for side in sides) and sides[0] * sides[1] > max_pixels:
        raise Undecodable("bomb", f"tiles of {sides[0]} x {sides[1]} px in a picture of {image.width} x {image.height} px")


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except BROKEN:
        return 1
    return value if isinstance(value, int) else 1
