"""What makes a picture of knowledge worthless, done to good ones: the negatives that the quality classifier learns from.

Seedream 4.0's pipeline removes "blur, clutter, noisy backgrounds" from figures (arXiv:2509.20427, section 2.1); contrast and
cuts are what scans and crops add.
"""

from random import Random
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFilter

from curation.knowledge.draws import noise_source

Flaw = Literal["blur", "noise", "clutter", "low_contrast", "truncated"]
FLAWS: tuple[Flaw, ...] = get_args(Flaw)


def degraded(pixels: UInt8[np.ndarray, "y x 3"], flaw: Flaw, stream: Random) -> UInt8[np.ndarray, "yy xx 3"]:
    """The picture with one flaw, strong enough that a person would throw it away."""
    match flaw:
        case "blur":
            radius = max(pixels.shape[:2]) / 512 * stream.uniform(4.0, 8.0) + 1.5
            return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))
        case "noise":
            return _noisy(pixels, stream)
        case "clutter":
            return _cluttered(pixels, stream)
        case "low_contrast":
            mean = float(pixels.mean())
            return (mean + (pixels.astype(np.float32) - mean) * stream.uniform(0.04, 0.12)).clip(0, 255).astype(np.uint8)
        case "truncated":
            return _cut(pixels, stream)


def _noisy(pixels: UInt8[np.ndarray, "y x 3"], stream: Random) -> UInt8[np.ndarray, "y x 3"]:
    noise = noise_source(stream).standard_normal(pixels.shape).astype(np.float32) * stream.uniform(45, 90)
    return (pixels.astype(np.float32) + noise).clip(0, 255).astype(np.uint8)


def _cluttered(pixels: UInt8[np.ndarray, "y x 3"], stream: Random) -> UInt8[np.ndarray, "y x 3"]:
    """Strokes and blots across everything, as on a page that was written over."""
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    width, height = image.size
    for _ in range(stream.randint(25, 60)):
        colour = tuple(stream.randint(0, 255) for _ in range(3))
        points = [(stream.uniform(0, width), stream.uniform(0, height)) for _ in range(stream.randint(2, 5))]
        pen.line(points, fill=colour, width=max(1, round(min(image.size) * stream.uniform(0.005, 0.02))))
    return np.asarray(image)


def _cut(pixels: UInt8[np.ndarray, "y x 3"], stream: Random) -> UInt8[np.ndarray, "yy xx 3"]:
    """A quarter or less of the picture around its middle, so that what is drawn runs over the edges."""
    height, width = pixels.shape[:2]
    share = stream.uniform(0.3, 0.5)
    tall, wide = max(32, round(height * share)), max(32, round(width * share))
    top = round((height - tall) * stream.uniform(0.3, 0.7))
    left = round((width - wide) * stream.uniform(0.3, 0.7))
    return pixels[top : top + tall, left : left + wide].copy()
