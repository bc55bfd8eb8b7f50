"""From encoded bytes to the pixels that everything else sees.

One decoder for measuring, composing, encoding and evaluating, so that all of them look at the same picture: rotated as its EXIF
data asks, in RGBA whatever its mode was, refused when it is too large or cut short. `training_view` is the picture that
autoencoder, latents and evaluation use.

y, x pixels; values in [0, 255]
"""

import io
import struct
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

MAX_PIXELS = 64 * 2**20
"""Largest picture that is decoded unless told otherwise: 64 Mi pixels, 256 MiB as RGBA."""

WHITE = (255, 255, 255)

_BROKEN = (OSError, ValueError, SyntaxError, EOFError, struct.error, IndexError, KeyError, OverflowError)
"""What PIL raises on damaged files: UnidentifiedImageError and truncation are OSErrors, broken PNG chunks SyntaxErrors."""


class Undecodable(ValueError):
    """These bytes are not a picture that we read.

    Attributes:
        reason: a name from `curation.tables.REASONS`.
        detail: what was seen, for the person who looks into it.
    """

    def __init__(self, reason: Literal["unreadable", "too_large"], detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["Undecodable"], tuple[str, str]]:
        return type(self), (self.reason, self.detail)  # two arguments: the default would unpickle with one


def decode(encoded: bytes, *, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "y x 4"]:
    """The first frame of an encoded picture as RGBA, upright.

    Raises:
        Undecodable: not a picture, cut short, or more than `max_pixels` pixels.
    """
    try:
        image = Image.open(io.BytesIO(encoded))
    except Image.DecompressionBombError as error:
        raise Undecodable("too_large", str(error)) from error
    except _BROKEN as error:
        raise Undecodable("unreadable", _one_line(error)) from error
    num_pixels = image.width * image.height
    if num_pixels > max_pixels:
        size = f"{image.width} x {image.height} px"
        raise Undecodable("too_large", f"{size} are {num_pixels} pixels, at most {max_pixels} are read")
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        return np.asarray(_eight_bit(upright).convert("RGBA"), dtype=np.uint8)
    except _BROKEN as error:
        raise Undecodable("unreadable", _one_line(error)) from error


def on_background(rgba: UInt8[np.ndarray, "y x 4"], *, background: tuple[int, int, int] = WHITE) -> UInt8[np.ndarray, "y x 3"]:
    """The picture over one opaque colour, rounded to the nearest value."""
    alpha = rgba[..., 3:].astype(np.uint32)
    colour = np.asarray(background, dtype=np.uint32)
    blended = rgba[..., :3].astype(np.uint32) * alpha + colour * (255 - alpha)
    return ((blended + 127) // 255).astype(np.uint8)


def fit_square(rgba: UInt8[np.ndarray, "y x 4"], size_px: int) -> UInt8[np.ndarray, "{size_px} {size_px} 4"]:
    """The whole picture inside a square of `size_px`, centred, transparent where it does not reach.

    Resized with antialiasing on premultiplied colour, so that the invisible colour of transparent pixels does not bleed in.
    """
    height, width = rgba.shape[:2]
    scale = size_px / max(height, width)
    return centred(resized(rgba, max(1, round(height * scale)), max(1, round(width * scale))), size_px, size_px)


def resized(rgba: UInt8[np.ndarray, "y x 4"], height_px: int, width_px: int) -> UInt8[np.ndarray, "{height_px} {width_px} 4"]:
    """The picture at another size: bicubic, antialiased, on premultiplied colour."""
    if rgba.shape[:2] == (height_px, width_px):
        return rgba
    image = Image.fromarray(rgba)  # PIL premultiplies RGBA by itself when it resizes
    return np.asarray(image.resize((width_px, height_px), Image.Resampling.BICUBIC), dtype=np.uint8)


def centred(rgba: UInt8[np.ndarray, "y x 4"], height_px: int, width_px: int) -> UInt8[np.ndarray, "{height_px} {width_px} 4"]:
    """The picture in the middle of a transparent canvas that is at least as large."""
    height, width = rgba.shape[:2]
    if (height, width) == (height_px, width_px):
        return rgba
    assert max(height - height_px, width - width_px) <= 0, (rgba.shape, height_px, width_px)
    canvas = np.zeros((height_px, width_px, 4), dtype=np.uint8)
    top, left = (height_px - height) // 2, (width_px - width) // 2
    canvas[top : top + height, left : left + width] = rgba
    return canvas


def training_view(encoded: bytes, size_px: int) -> UInt8[np.ndarray, "{size_px} {size_px} 3"]:
    """The pixels a model sees of an encoded picture: decoded, fitted into a square, on white.

    Raises:
        Undecodable: see `decode`.
    """
    return on_background(fit_square(decode(encoded), size_px))


def encode_png(pixels: UInt8[np.ndarray, "y x c"]) -> bytes:
    """PNG bytes of an RGB or RGBA picture; the same pixels always give the same bytes."""
    assert pixels.shape[-1] in (3, 4), pixels.shape
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG")
    return buffer.getvalue()


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit and 32-bit grey brought to 8 bits: PIL's own conversion clips at 255 instead of scaling."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) // 257).astype(np.uint8))
    if image.mode == "I":
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    return image


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
