"""Named colours of inks and surfaces, in English and Chinese, and pairs that can be read."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

Rgb = tuple[int, int, int]


class Colour(NamedTuple):
    """A colour and its names."""

    en: str
    zh: str
    rgb: Rgb


INKS: tuple[Colour, ...] = (
    Colour("black", "黑色", (20, 20, 24)), Colour("dark blue", "深蓝色", (18, 40, 110)), Colour("blue", "蓝色", (28, 86, 204)),
    Colour("red", "红色", (198, 32, 36)), Colour("dark green", "深绿色", (16, 92, 48)), Colour("purple", "紫色", (104, 40, 150)),
    Colour("brown", "棕色", (104, 62, 28)), Colour("grey", "灰色", (92, 96, 104)), Colour("orange", "橙色", (222, 104, 12)),
    Colour("white", "白色", (250, 250, 248)), Colour("yellow", "黄色", (250, 218, 60)), Colour("light blue", "浅蓝色", (150, 208, 250)),
    Colour("pink", "粉色", (250, 160, 196)), Colour("light green", "浅绿色", (168, 232, 160)),
)  # fmt: skip
SURFACES: tuple[Colour, ...] = (
    Colour("white", "白色", (255, 255, 255)), Colour("cream", "米色", (250, 243, 224)), Colour("light grey", "浅灰色", (232, 234, 238)),
    Colour("pale blue", "淡蓝色", (224, 238, 250)), Colour("pale green", "淡绿色", (226, 244, 228)), Colour("pale pink", "淡粉色", (252, 230, 236)),
    Colour("pale yellow", "淡黄色", (254, 248, 206)), Colour("black", "黑色", (18, 18, 20)), Colour("navy", "藏青色", (20, 32, 66)),
    Colour("dark green", "深绿色", (24, 66, 50)), Colour("crimson", "深红色", (138, 22, 44)), Colour("teal", "青绿色", (10, 98, 106)),
    Colour("purple", "紫色", (76, 36, 112)), Colour("orange", "橙色", (240, 138, 36)), Colour("sky blue", "天蓝色", (120, 190, 236)),
    Colour("yellow", "黄色", (250, 208, 50)), Colour("brown", "棕色", (92, 60, 36)),
)  # fmt: skip
READABLE_CONTRAST = 4.5
"""Least contrast of text on its surface (WCAG 2.2, success criterion 1.4.3)."""


def contrast(first: Rgb, second: Rgb) -> float:
    """Contrast ratio of two colours, 1 (the same) to 21 (black on white); WCAG 2.2."""
    darker, lighter = sorted((_luminance(first), _luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def readable_ink(stream: Random, surface: Rgb, inks: Sequence[Colour] = INKS) -> Colour:
    """An ink that can be read on the surface."""
    return stream.choice([ink for ink in inks if contrast(ink.rgb, surface) >= READABLE_CONTRAST])


def _luminance(colour: Rgb) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (value / 255 for value in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
