"""Colour words of pixels, and pixels of colour words: hues of OKLab (Ottosson 2020), whose lightness is even over hues.

The words are few and far apart, so that what was drawn as one of them is seen as it again after blurring and compression. A thing
takes another colour by turning its hue, its lightness kept: shading survives, and a drawing too dark for yellow stays so, which
`colour_word` then says.

n pixels
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float32, UInt8

HUES: Mapping[str, float] = {"red": 27.0, "yellow": 98.0, "green": 145.0, "blue": 258.0, "purple": 312.0}
"""Hue of each word in degrees of OKLab's plane of a and b."""

LIGHTNESS: Mapping[str, tuple[float, float]] = {
    "red": (0.38, 0.74), "yellow": (0.70, 0.99), "green": (0.35, 0.90), "blue": (0.30, 0.80), "purple": (0.30, 0.75),
}  # fmt: skip
"""Between which lightnesses the median pixel of that hue is called so by people: a dark yellow is brown, a pale red is pink."""

CHROMATIC = 0.055
"""Chroma from which a pixel has a hue at all."""
VIVID = 0.075
"""Chroma that a colour needs to be told by: what is paler changes its hue when it is compressed."""
MIN_SHARE = 0.30
"""Share of a thing's pixels that has to have a hue before the thing has a colour."""
_NEAR = 45.0
"""Degrees from the dominant hue within which a pixel turns along."""

_TO_CONE = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    np.float32,
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    np.float32,
)
_FROM_LAB, _FROM_CONE = np.linalg.inv(_TO_LAB).astype(np.float32), np.linalg.inv(_TO_CONE).astype(np.float32)


def oklab(rgb: UInt8[np.ndarray, "*shape 3"]) -> Float32[np.ndarray, "*shape 3"]:
    """Lightness in [0, 1] and the two colour axes of sRGB pixels."""
    return (np.cbrt(_LINEAR[rgb] @ _TO_CONE.T) @ _TO_LAB.T).astype(np.float32)


def srgb(lab: Float32[np.ndarray, "*shape 3"]) -> UInt8[np.ndarray, "*shape 3"]:
    """The pixels of OKLab colours; what sRGB does not hold loses chroma until it does, lightness and hue kept."""
    scale_low, scale_high = np.zeros_like(lab[..., :1]), np.ones_like(lab[..., :1])
    for _ in range(8):
        middle = (scale_low + scale_high) / 2
        fits = _is_in_gamut(_less_chroma(lab, middle))
        scale_low, scale_high = np.where(fits, middle, scale_low), np.where(fits, scale_high, middle)
    scale = np.where(_is_in_gamut(lab), np.float32(1), scale_low)
    linear = np.clip(_linear_of(_less_chroma(lab, scale)), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * encoded).astype(np.uint8)


def hue_of(lab: Float32[np.ndarray, "*shape 3"]) -> Float32[np.ndarray, "*shape"]:
    """Hue in degrees, in [0, 360)."""
    return np.degrees(np.arctan2(lab[..., 2], lab[..., 1])).astype(np.float32) % np.float32(360)


def colour_word(rgb: UInt8[np.ndarray, "n 3"]) -> str:
    """The word of HUES that most of the colour of these pixels is nearest to; "" when too few of them have a colour."""
    lab = oklab(rgb)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    has_hue = chroma > CHROMATIC
    if not len(rgb) or has_hue.mean() < MIN_SHARE:
        return ""
    words = tuple(HUES)
    distance = np.stack([_angle(hue_of(lab[has_hue]), HUES[word]) for word in words])
    votes = np.bincount(distance.argmin(0), weights=chroma[has_hue], minlength=len(words))
    return words[int(votes.argmax())]


def is_truly(word: str, rgb: UInt8[np.ndarray, "n 3"]) -> bool:
    """Whether people would call these pixels so: most of them have that hue, vivid, at a lightness the word is used for."""
    if colour_word(rgb) != word:
        return False
    lab = oklab(rgb)
    own = (np.hypot(lab[:, 1], lab[:, 2]) > VIVID) & (_angle(hue_of(lab), HUES[word]) < 25)
    low, high = LIGHTNESS[word]
    return bool(own.mean() >= 0.58 and low <= np.median(lab[own, 0]) <= high)


def dominant_hue(rgb: UInt8[np.ndarray, "n 3"]) -> float | None:
    """The hue that most of a drawing has; None when it has no colour, or several."""
    lab = oklab(rgb)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    has_hue = chroma > CHROMATIC
    if not len(rgb) or has_hue.mean() < 0.5:
        return None
    hues = hue_of(lab)
    counts = np.bincount((hues[has_hue] // 10).astype(int), weights=chroma[has_hue], minlength=36)
    around = sum(np.roll(counts, shift) for shift in (-2, -1, 0, 1, 2))
    peak = 10.0 * float(np.argmax(around)) + 5
    near = has_hue & (_angle(hues, peak) < _NEAR)
    return peak if near.mean() >= 0.5 else None


def recoloured(rgb: UInt8[np.ndarray, "y x 3"], word: str, *, dominant: float) -> UInt8[np.ndarray, "y x 3"]:
    """The picture with the hues near `dominant` turned to that of `word`, differences between them halved; lightness kept."""
    lab = oklab(rgb)
    hues, chroma = hue_of(lab), np.hypot(lab[..., 1], lab[..., 2])
    away = (hues - np.float32(dominant) + 180) % 360 - 180
    turned = np.radians(HUES[word] + away / 2)
    near: Bool[np.ndarray, "y x"] = (np.abs(away) < _NEAR) & (chroma > CHROMATIC / 3)
    colour = np.stack([lab[..., 0], chroma * np.cos(turned), chroma * np.sin(turned)], -1).astype(np.float32)
    return np.where(near[..., None], srgb(colour), rgb)


def _angle(hues: Float32[np.ndarray, "*shape"], other: float) -> Float32[np.ndarray, "*shape"]:
    return np.abs((hues - np.float32(other) + 180) % 360 - 180)


def _less_chroma(lab: Float32[np.ndarray, "*shape 3"], scale: Float32[np.ndarray, "*shape 1"]) -> Float32[np.ndarray, "*shape 3"]:
    return np.concatenate([lab[..., :1], lab[..., 1:] * scale], -1)


def _linear_of(lab: Float32[np.ndarray, "*shape 3"]) -> Float32[np.ndarray, "*shape 3"]:
    return (lab @ _FROM_LAB.T) ** 3 @ _FROM_CONE.T


def _is_in_gamut(lab: Float32[np.ndarray, "*shape 3"]) -> Bool[np.ndarray, "*shape 1"]:
    linear = _linear_of(lab)
    return np.all((linear > -1e-4) & (linear < 1 + 1e-4), axis=-1, keepdims=True)


def _linear_table() -> Float32[np.ndarray, "256"]:
    encoded = np.arange(256, dtype=np.float32) / 255
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LINEAR = _linear_table()
