"""Pictures at the sizes that models see them at: in a square, or at a size of their own that an autoencoder can encode.

A native size keeps the picture's aspect. Its sides are multiples of the autoencoder's factor, so one side gives a little: of the
sizes next to the exact one that is taken whose aspect is nearest to the picture's. Up to `SQUEEZE` the picture is squeezed into
it, which nobody sees and which loses nothing; beyond that it keeps its proportions and what overhangs is cut off, alike at both
ends. Nothing is enlarged: a picture thinner than 1 : `MOST_ASPECT`, or than the factor, gets a margin. All of these are sizes
that a generator can be asked for (`models.picture_sizes`, which decoders do not import: it would bring torch along).

y, x pixels
"""

import math
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

MOST_ASPECT = 16
"""Of the longer to the shorter side."""
SQUEEZE = 1.03
"""Change of proportions that a picture is resized by rather than cropped."""


class PixelSize(NamedTuple):
    """Height and width in pixels."""

    height_px: int
    width_px: int

    @property
    def aspect(self) -> float:
        """Width by height."""
        return self.width_px / self.height_px


def native_size(size: PixelSize, *, max_side_px: int, multiple_px: int) -> PixelSize:
    """The size that a picture of this size is seen at: of about its aspect, in multiples, and no larger in any way.

    Args:
        max_side_px: side of the square whose area is not exceeded.
        multiple_px: both sides are multiples of it.

    Raises:
        ValueError: not even the thinnest picture of one multiple across has so small an area.
    """
    least = math.isqrt(MOST_ASPECT) * multiple_px
    if max_side_px < least:
        steps = f"in steps of {multiple_px} px"
        raise ValueError(f"max_side_px={max_side_px} holds no picture of 1:{MOST_ASPECT} {steps}; give {least} or more")
    padded = _padded(size, multiple_px)
    scale = min(1.0, max_side_px / math.sqrt(padded.height_px * padded.width_px))
    heights, widths = (_near(side * scale, side, multiple_px) for side in padded)
    possible = [_shortened(*sides) for sides in product(heights, widths) if math.prod(sides) <= max_side_px**2]
    return min(possible, key=lambda one: (round(abs(math.log(one.aspect / padded.aspect)), 9), -math.prod(one)))


def fit_native(rgba: UInt8[np.ndarray, "y x 4"], *, max_side_px: int, multiple_px: int) -> UInt8[np.ndarray, "y2 x2 4"]:
    """The picture at its `native_size`, transparent where a thin one was given a margin."""
    height, width = rgba.shape[:2]
    size = native_size(PixelSize(height, width), max_side_px=max_side_px, multiple_px=multiple_px)
    whole = centred(rgba, *_padded(PixelSize(height, width), multiple_px))
    return resized(whole, *size, box=_seen(PixelSize(*whole.shape[:2]), size))


def fit_proportions(
    rgba: UInt8[np.ndarray, "y x 4"], height_px: int, width_px: int
) -> UInt8[np.ndarray, "{height_px} {width_px} 4"]:
    """The picture at a size, squeezed or cropped to its proportions as `fit_native` does."""
    return resized(rgba, height_px, width_px, box=_seen(PixelSize(*rgba.shape[:2]), PixelSize(height_px, width_px)))


def fit_square(rgba: UInt8[np.ndarray, "y x 4"], size_px: int) -> UInt8[np.ndarray, "{size_px} {size_px} 4"]:
    """The whole picture inside a square of `size_px`, centred, transparent where it does not reach.

    Resized with antialiasing on premultiplied colour, so that the invisible colour of transparent pixels does not bleed in.
    """
    height, width = rgba.shape[:2]
    scale = size_px / max(height, width)
    return centred(resized(rgba, max(1, round(height * scale)), max(1, round(width * scale))), size_px, size_px)


def resized(
    rgba: UInt8[np.ndarray, "y x 4"], height_px: int, width_px: int, *, box: tuple[float, float, float, float] | None = None
) -> UInt8[np.ndarray, "{height_px} {width_px} 4"]:
    """The picture at another size: bicubic, antialiased, on premultiplied colour.

    Args:
        box: left, top, right and bottom of what is seen of it; None for all.
    """
    if rgba.shape[:2] == (height_px, width_px):
        return rgba
    image = Image.fromarray(rgba)  # PIL premultiplies RGBA by itself when it resizes
    return np.asarray(image.resize((width_px, height_px), Image.Resampling.BICUBIC, box=box), dtype=np.uint8)


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


def _padded(size: PixelSize, multiple_px: int) -> PixelSize:
    """With the margin of thin pictures."""
    return PixelSize(
        max(size.height_px, multiple_px, math.ceil(size.width_px / MOST_ASPECT)),
        max(size.width_px, multiple_px, math.ceil(size.height_px / MOST_ASPECT)),
    )


def _shortened(height_px: int, width_px: int) -> PixelSize:
    """Not longer than `MOST_ASPECT` allows, to which rounding a thin side down may lead."""
    return PixelSize(min(height_px, MOST_ASPECT * width_px), min(width_px, MOST_ASPECT * height_px))


def _near(exact_px: float, most_px: int, multiple_px: int) -> set[int]:
    """The multiples below and above an exact side, at least one and at most what there is of the picture."""
    below = max(1, int(exact_px / multiple_px)) * multiple_px
    above = below + multiple_px
    return {below, above} if above <= most_px else {below}


def _seen(whole: PixelSize, size: PixelSize) -> tuple[float, float, float, float]:
    """What is seen at `size`: everything where squeezing does, else the middle that has its aspect."""
    stretch = size.aspect / whole.aspect
    if 1 / SQUEEZE <= stretch <= SQUEEZE:
        return 0.0, 0.0, float(whole.width_px), float(whole.height_px)
    width, height = whole.width_px * min(1.0, stretch), whole.height_px * min(1.0, 1 / stretch)
    left, top = (whole.width_px - width) / 2, (whole.height_px - height) / 2
    return left, top, left + width, top + height
