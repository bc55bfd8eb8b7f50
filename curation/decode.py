"""From encoded bytes to the pixels that everything else sees.

One decoder for measuring, composing, encoding and evaluating, so that all of them look at the same picture: the first frame,
turned as its EXIF data asks, in sRGB whatever its colours were, refused when it is too large, cut short, damaged, or something
else besides a picture. What a file says of itself (`probe`) is checked before its pixels are touched, so a bomb costs nothing.

JPEG is decoded by libjpeg-turbo in its strict mode, where a warning about missing data is an error; PIL, which fills such gaps
with grey, decodes other formats, and JPEGs whose colours are sampled in ways that simplejpeg has no name for. PIL's way to WebP
goes through libwebp's player of animations, so a file of one opaque frame is given to OpenCV: 7 instead of 14 ms a megapixel.
`decode_scaled` lets the JPEG decoder itself shrink by 2, 4 or 8, the factors it has fast code for.

CPU time a picture (`seedbed bench decode`: generated JPEGs of 1024x768 to 1600x1200 px, 227 kB on average, AMD EPYC): 2.7 ms for
a view of at least 256 px, 0.1 ms of it for `probe`; 3.7 ms in full; 6.1 ms by PIL in full and 3.0 ms by PIL's `draft`.

y, x pixels; values in [0, 255]
"""

import io
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import cv2
import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image

from curation.colour import to_srgb
from curation.containers.gif import read_gif
from curation.containers.header import Header, Undecodable
from curation.containers.jpeg import read_jpeg
from curation.containers.kinds import foreign_kind, kind_of, refuse_polyglot
from curation.containers.others import BROKEN, in_words, open_as, quiet, read_other
from curation.containers.png import read_png
from curation.containers.upright import turned
from curation.containers.webp import read_webp
from curation.framing import centred, fit_native, fit_proportions, fit_square, resized

__all__ = [
    "MAX_PIXELS", "WHITE", "Header", "Scaled", "Undecodable", "centred", "decode", "decode_scaled", "encode_png", "fit_square",
    "native_view", "on_background", "probe", "resized", "training_view",
]  # fmt: skip

MAX_PIXELS = 64 * 2**20
"""Largest picture that is decoded unless told otherwise: 64 Mi pixels, 256 MiB as RGBA."""

WHITE = (255, 255, 255)

_HARMLESS = ("Invalid SOS parameters", "Inconsistent progression sequence", "Unknown Adobe color transform code")
"""Warnings of libjpeg about headers of cameras' files that are whole; all others are about pixels that are not there."""


_Space = Literal["RGB", "RGBA", "CMYK"]


@dataclass(frozen=True, eq=False)
class Scaled:
    """A picture decoded just large enough to be measured."""

    pixels: UInt8[np.ndarray, "y x 3"]
    """Upright sRGB, over white where the picture is transparent."""
    alpha: UInt8[np.ndarray, "y x"] | None
    """Opacity; None when the picture is opaque."""
    width_px: int
    """Width of the whole picture, upright; that of `pixels` may be smaller."""
    height_px: int
    """Height of the whole picture, upright."""
    header: Header

    @cached_property
    def luma(self) -> UInt8[np.ndarray, "y x"]:
        """ITU-R BT.601 luma of `pixels`."""
        return np.asarray(cv2.cvtColor(self.pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)

    @property
    def is_opaque(self) -> bool:
        """Whether no pixel is transparent."""
        return self.alpha is None


def probe(encoded: bytes, *, max_pixels: int = MAX_PIXELS) -> Header:
    """What a picture file says of itself; no pixel is decoded, and the file is known to have an end.

    Raises:
        Undecodable: not a picture of a kind that we read, cut short, a bomb, a polyglot, or more than `max_pixels` pixels.
    """
    kind = kind_of(encoded)
    match kind:
        case "jpeg":
            header = read_jpeg(encoded, max_pixels=max_pixels)
        case "png":
            header = read_png(encoded, max_pixels=max_pixels)
        case "gif":
            header = read_gif(encoded, max_pixels=max_pixels)
        case "webp":
            header = read_webp(encoded, max_pixels=max_pixels)
        case "bmp" | "tiff" | "avif":
            header = read_other(kind, encoded, max_pixels=max_pixels)
        case None:
            raise Undecodable("not_a_picture", foreign_kind(encoded))
    refuse_polyglot(encoded, end=len(encoded) - header.trailing_bytes)
    return header


def decode(encoded: bytes, *, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "y x 4"]:
    """The first frame of an encoded picture as RGBA, upright, in sRGB.

    Raises:
        Undecodable: see `probe`; and pixels that are missing or make no sense.
    """
    header = probe(encoded, max_pixels=max_pixels)
    if header.kind == "jpeg":
        return turned(_jpeg_pixels(encoded, header, factor=1, space="RGBA"), header.orientation)
    return turned(np.asarray(_in_srgb(_opened(encoded, header), header).convert("RGBA"), dtype=np.uint8), header.orientation)


def decode_scaled(encoded: bytes, min_side_px: int, *, max_pixels: int = MAX_PIXELS) -> Scaled:
    """The picture with its shorter side at least `min_side_px`, and less than twice that where the format allows it.

    A picture that is smaller stays as it is. Formats other than JPEG are decoded in full and averaged over squares of pixels.

    Raises:
        Undecodable: exactly when `decode` would.
    """
    header = probe(encoded, max_pixels=max_pixels)
    if header.kind == "jpeg":
        factor = _largest_factor(min(header.stored_size), min_side_px)
        pixels, alpha = _jpeg_pixels(encoded, header, factor=factor, space="RGB"), None
    else:
        pixels, alpha = _reduced(_in_srgb(_opened(encoded, header), header), min_side_px)
    upright = turned(pixels, header.orientation)
    alpha = None if alpha is None else turned(alpha, header.orientation)
    return Scaled(upright, alpha, header.width_px, header.height_px, header)


def on_background(rgba: UInt8[np.ndarray, "y x 4"], *, background: tuple[int, int, int] = WHITE) -> UInt8[np.ndarray, "y x 3"]:
    """The picture over one opaque colour, rounded to the nearest value."""
    alpha = rgba[..., 3:].astype(np.uint32)
    colour = np.asarray(background, dtype=np.uint32)
    blended = rgba[..., :3].astype(np.uint32) * alpha + colour * (255 - alpha)
    return ((blended + 127) // 255).astype(np.uint8)


def training_view(encoded: bytes, size_px: int) -> UInt8[np.ndarray, "{size_px} {size_px} 3"]:
    """The pixels a model sees of an encoded picture: decoded, fitted into a square, on white.

    Raises:
        Undecodable: see `decode`.
    """
    return on_background(fit_square(decode(encoded), size_px))


def native_view(encoded: bytes, *, max_side_px: int, multiple_px: int) -> UInt8[np.ndarray, "y x 3"]:
    """The pixels a model sees of a picture at a size of its own (`curation.framing`): decoded, scaled down, on white.

    Raises:
        Undecodable: see `decode`.
        ValueError: see `native_size`.
    """
    return on_background(fit_native(decode(encoded), max_side_px=max_side_px, multiple_px=multiple_px))


def view_at(encoded: bytes, height_px: int, width_px: int) -> UInt8[np.ndarray, "{height_px} {width_px} 3"]:
    """The pixels a model sees of a picture whose native size has these proportions, at this size: decoded, cropped, on white.

    Raises:
        Undecodable: see `decode`.
    """
    return on_background(fit_proportions(decode(encoded), height_px, width_px))


def encode_png(pixels: UInt8[np.ndarray, "y x c"]) -> bytes:
    """PNG bytes of an RGB or RGBA picture; the same pixels always give the same bytes."""
    assert pixels.shape[-1] in (3, 4), pixels.shape
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG")
    return buffer.getvalue()


def _jpeg_pixels(encoded: bytes, header: Header, *, factor: int, space: Literal["RGB", "RGBA"]) -> UInt8[np.ndarray, "y x c"]:
    """Pixels in sRGB, not turned yet, shrunk by the decoder."""
    if header.colour != "cmyk" and not header.icc:
        return _strictly(encoded, header, factor, space)
    stored = _strictly(encoded, header, factor, "CMYK" if header.colour == "cmyk" else "RGB")
    return np.asarray(to_srgb(_as_image(stored, header), header.icc).convert(space), dtype=np.uint8)


def _strictly(encoded: bytes, header: Header, factor: int, space: _Space) -> UInt8[np.ndarray, "y x c"]:
    if not _is_usual(encoded, header):
        return _by_draft(encoded, header, factor, space)
    try:
        return _by_libjpeg(encoded, header, factor, space, is_strict=True)
    except ValueError as error:
        if not str(error).startswith(_HARMLESS):
            cause = "truncated" if "remature end" in str(error) else "damaged"
            raise Undecodable(cause, in_words(error)) from error
    try:
        return _by_libjpeg(encoded, header, factor, space, is_strict=False)
    except ValueError as error:
        raise Undecodable("damaged", in_words(error)) from error


def _is_usual(encoded: bytes, header: Header) -> bool:
    """Whether simplejpeg knows how this file samples its colours: 4:4:4, 4:2:2, 4:2:0, 4:4:0, 4:1:1 or grey.

    Raises:
        Undecodable: libjpeg finds another size than we did; it would make room for that.
    """
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(encoded, strict=False)
    except KeyError:
        return False
    except ValueError as error:
        if "subsampling" in str(error):
            return False
        raise Undecodable("damaged", in_words(error)) from error
    if (width, height) != header.stored_size:
        raise Undecodable("damaged", f"{width} x {height} px for libjpeg, the first frame header says {header.stored_size}")
    return True


def _by_libjpeg(encoded: bytes, header: Header, factor: int, space: _Space, *, is_strict: bool) -> UInt8[np.ndarray, "y x c"]:
    width, height = header.stored_size
    return simplejpeg.decode_jpeg(
        encoded, space, fastdct=factor > 1, strict=is_strict, min_height=-(-height // factor), min_width=-(-width // factor)
    )


def _by_draft(encoded: bytes, header: Header, factor: int, space: _Space) -> UInt8[np.ndarray, "y x c"]:
    """By PIL, which knows every sampling; it forgives missing data, but `probe` has seen the end of the file."""
    image = open_as("jpeg", encoded)
    if image.size != header.stored_size:
        raise Undecodable("damaged", f"{image.width} x {image.height} px for PIL, the file says {header.stored_size}")
    width, height = header.stored_size
    image.draft(None, (-(-width // factor), -(-height // factor)))
    pixels = np.asarray(_loaded(image).convert(space), dtype=np.uint8)
    return 255 - pixels if space == "CMYK" else pixels  # as libjpeg gives it, not yet turned round


def _as_image(pixels: UInt8[np.ndarray, "y x c"], header: Header) -> Image.Image:
    if header.colour != "cmyk":
        image = Image.fromarray(pixels)
        return image.getchannel(0) if header.colour == "grey" else image
    height, width = pixels.shape[:2]
    return Image.frombytes("CMYK", (width, height), (255 - pixels).tobytes())  # Adobe's way, which all follow: 255 is no ink


def _opened(encoded: bytes, header: Header) -> Image.Image:
    """The first frame, decoded by PIL, or by OpenCV where that takes half the time: lossy WebP with nothing but pixels."""
    if header.kind == "webp" and header.colour == "rgb":
        return Image.fromarray(_by_libwebp(encoded, header))
    image = open_as(header.kind, encoded)
    if image.size != header.stored_size:
        raise Undecodable("damaged", f"{image.width} x {image.height} px inside, the file says {header.stored_size}")
    return _loaded(image)


def _by_libwebp(encoded: bytes, header: Header) -> UInt8[np.ndarray, "y x 3"]:
    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    if pixels is None or pixels.shape[1::-1] != header.stored_size:
        seen = "no pixels" if pixels is None else f"{pixels.shape[1]} x {pixels.shape[0]} px inside"
        raise Undecodable("damaged", f"{seen}, the file says {header.stored_size}")
    return np.asarray(pixels, dtype=np.uint8)


def _loaded(image: Image.Image) -> Image.Image:
    try:
        with quiet():
            image.load()
    except BROKEN as error:
        cause = "truncated" if "truncated" in str(error) else "damaged"
        raise Undecodable(cause, in_words(error)) from error
    return image


def _in_srgb(image: Image.Image, header: Header) -> Image.Image:
    """RGB, or RGBA when anything may be transparent."""
    try:
        image = _eight_bit(image)
        if not image.has_transparency_data:
            plain = image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")
            return to_srgb(plain, header.icc)
        rgba = image.convert("RGBA")
        if not header.icc:
            return rgba
        colours = image.getchannel("L") if image.mode == "LA" else rgba.convert("RGB")
        converted = to_srgb(colours, header.icc)
        converted.putalpha(rgba.getchannel("A"))
        return converted
    except BROKEN as error:
        raise Undecodable("damaged", in_words(error)) from error


def _reduced(image: Image.Image, min_side_px: int) -> tuple[UInt8[np.ndarray, "y x 3"], UInt8[np.ndarray, "y x"] | None]:
    """Colours over white and opacity, averaged over squares as large as `min_side_px` allows."""
    factor = max(1, min(image.size) // max(1, min_side_px))
    image = image.reduce(factor) if factor > 1 else image  # PIL premultiplies RGBA by itself
    if image.mode != "RGBA":
        return np.asarray(image, dtype=np.uint8), None
    rgba = np.asarray(image, dtype=np.uint8)
    is_opaque = rgba[..., 3].min() == 255
    return (np.ascontiguousarray(rgba[..., :3]), None) if is_opaque else (on_background(rgba), rgba[..., 3])


def _largest_factor(side_px: int, min_side_px: int) -> int:
    """The largest of 8, 4, 2, 1 that leaves at least `min_side_px`: libjpeg-turbo has vector code for these only."""
    return next((factor for factor in (8, 4, 2) if min_side_px and side_px // factor >= min_side_px), 1)


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit and 32-bit grey brought to 8 bits: PIL's own conversion clips at 255 instead of scaling."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) // 257).astype(np.uint8))
    if image.mode == "I":
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    return image
