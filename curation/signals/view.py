"""The small pictures that looks are measured on.

Sharpness, entropy and the like depend on how large a picture is shown, so all pictures are measured at one size: about
`VIEW_PIXELS` pixels, whatever their shape; smaller ones as they are. Squares of the decoder's pixels are averaged, which keeps
edges that are sharp at this size and is the cheapest way there is in PIL.

Colours stay at the decoder's size: what needs them takes every n-th pixel. The square for perceptual hashes is made of the
decoder's pixels, too: made of the small picture it would differ more between copies of different sizes.

y, x pixels; values in [0, 255]
"""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from curation.signals.contract import VIEW_SIDE_PX

VERSION = 1
"""Raised when the pixels of a view change; every signal measured on one depends on it."""

VIEW_PIXELS = VIEW_SIDE_PX * VIEW_SIDE_PX
"""What every picture with a shorter side of `VIEW_SIDE_PX` has after decoding."""

SQUARE_SIDE_PX = 32


def small(luma: UInt8[np.ndarray, "v u"]) -> Image.Image:
    """Luma at the common size."""
    shrink = min(1.0, (VIEW_PIXELS / luma.size) ** 0.5)
    height, width = luma.shape
    return Image.fromarray(luma).resize((max(1, round(width * shrink)), max(1, round(height * shrink))), Image.Resampling.BOX)


def square(luma: UInt8[np.ndarray, "v u"]) -> UInt8[np.ndarray, "32 32"]:
    """All luma in a square, without regard to shape: what perceptual hashes are made of."""
    size = (SQUARE_SIDE_PX, SQUARE_SIDE_PX)
    return np.asarray(Image.fromarray(luma).resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0))
