"""The small picture that looks are measured on.

Sharpness, entropy and the like depend on how large a picture is shown, so all pictures are measured at one size: about
`VIEW_PIXELS` pixels, whatever their shape; smaller ones as they are. Squares of the decoder's pixels are averaged, which keeps
edges that are sharp at this size and is the cheapest way there is in PIL.

Colours stay at the decoder's size: what needs them takes every n-th pixel. The square for perceptual hashes is made of the
decoder's pixels, too: made of the small picture it would differ more between copies of different sizes.

y, x pixels; values in [0, 255]
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from curation.decode import Scaled

VERSION = 1
"""Raised when the pixels of a view change; every signal measured on one depends on it."""

MIN_SIDE_PX = 240
"""What the decoder is asked for: it may shrink a JPEG while its shorter side stays this long. Half of 480 rather than 256, so
that the sizes of screens and cameras, 480, 960 and 1920, can be shrunk by 2, 4 and 8."""

VIEW_PIXELS = 240 * 240
"""What every picture with a shorter side of `MIN_SIDE_PX` has after decoding."""

SQUARE_SIDE_PX = 32


class View(NamedTuple):
    """A picture, ready to be measured."""

    luma: UInt8[np.ndarray, "y x"]
    """ITU-R BT.601 luma at the common size."""
    histogram: tuple[int, ...]
    """Number of pixels of `luma` at each of 256 values."""
    square: UInt8[np.ndarray, "32 32"]
    """All luma in a square, without regard to shape: what perceptual hashes are made of."""
    rgb: UInt8[np.ndarray, "v u 3"]
    """All colours, as decoded."""


def view_of(scaled: Scaled) -> View:
    """The view of a decoded picture."""
    luma = Image.fromarray(scaled.pixels).convert("L")
    small = luma.resize(_size(luma.width, luma.height), Image.Resampling.BOX)
    square = luma.resize((SQUARE_SIDE_PX, SQUARE_SIDE_PX), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return View(np.asarray(small), tuple(small.histogram()), np.asarray(square), scaled.pixels)


def _size(width_px: int, height_px: int) -> tuple[int, int]:
    shrink = min(1.0, (VIEW_PIXELS / (width_px * height_px)) ** 0.5)
    return max(1, round(width_px * shrink)), max(1, round(height_px * shrink))
