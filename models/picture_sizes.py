"""Sizes of pictures: what can be drawn, and which one is taken when a request leaves it open.

A size is a multiple of what one token covers on both sides, from one token up to 4096 x 4096 px in area, at most sixteen times
as long as wide. Sizes that are asked for in pixels are drawn as asked or refused; an aspect ratio is drawn at the nearest size of
the area that is usual for the model.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

MOST_PX = 4096
"""Side of the largest square."""
MOST_ASPECT = 16
"""Longer side over shorter side, at most."""


class ImageSize(NamedTuple):
    """Height and width of a picture in pixels."""

    height_px: int
    width_px: int

    def __str__(self) -> str:
        return f"{self.width_px}x{self.height_px}"


class Aspect(NamedTuple):
    """Width to height of a picture, such as 16 to 9."""

    width: float
    height: float


_RATIOS = frozenset({(1, 1), (2, 1), (3, 1), (3, 2), (4, 3), (5, 4), (16, 9), (16, 10), (21, 9)})
"""That a prompt may name, in either order; others are rather times, scores and verses."""
_RATIO = re.compile(r"(?<![\d:.：])(\d{1,2})\s?[:：]\s?(\d{1,2})(?![\d:：])")
_CUE = re.compile(r"aspect|ratio|format|比例|画幅|横版|竖版", re.IGNORECASE)
_LAST = re.compile(r"[\s.!。！)）]*$")
_WORDS: tuple[tuple[str, Aspect], ...] = (
    (r"\bpanoramic (?:picture|image|photo|view)|\ba panorama of|全景图", Aspect(3, 1)),
    (r"\bportrait (?:format|orientation|mode)|\bvertical (?:format|picture|image|poster)|竖版|竖屏|竖图", Aspect(3, 4)),
    (r"\blandscape (?:format|orientation|mode)|\bhorizontal (?:format|picture|image)|横版|横屏|横图", Aspect(4, 3)),
    (r"\bsquare (?:format|picture|image)|方图|正方形画面", Aspect(1, 1)),
)


def require_drawable(size: ImageSize, *, factor: int) -> None:
    """Refuse what the model cannot draw.

    Args:
        factor: pixels a side that one token covers.

    Raises:
        ValueError: a side lies between two tokens, the picture is too large, or too long for its width.
    """
    if size.height_px % factor or size.width_px % factor or min(size) < factor:
        raise ValueError(f"size {size} cannot be drawn: both sides must be multiples of {factor} px")
    if size.height_px * size.width_px > MOST_PX**2:
        raise ValueError(f"size {size} cannot be drawn: at most {MOST_PX}x{MOST_PX} pixels in area; ask for fewer")
    if max(size) > MOST_ASPECT * min(size):
        raise ValueError(f"size {size} cannot be drawn: at most {MOST_ASPECT} times as long as wide; ask for a shorter one")


def size_of(aspect: Aspect, *, area_px: int, factor: int) -> ImageSize:
    """The size of about this area whose sides are in this ratio, as nearly as multiples of `factor` can be.

    Raises:
        ValueError: the ratio is beyond 1:16 or 16:1.
    """
    if not (0 < aspect.width <= MOST_ASPECT * aspect.height and 0 < aspect.height <= MOST_ASPECT * aspect.width):
        asked = f"{aspect.width:g}:{aspect.height:g}"
        raise ValueError(f"aspect ratio {asked} cannot be drawn: expected between 1:{MOST_ASPECT} and {MOST_ASPECT}:1")
    cells, ratio = area_px / factor**2, aspect.width / aspect.height
    tall = math.sqrt(cells / ratio)
    near = [(h, max(1, round(h * ratio))) for h in {max(1, math.floor(tall)), math.ceil(tall)}]
    wide = math.sqrt(cells * ratio)
    near += [(max(1, round(w / ratio)), w) for w in {max(1, math.floor(wide)), math.ceil(wide)}]
    fits = [(h, w) for h, w in near if max(h, w) <= MOST_ASPECT * min(h, w) and h * w * factor**2 <= MOST_PX**2]
    height, width = min(fits or [(1, 1)], key=lambda each: _distance(each, ratio=ratio, cells=cells))
    return ImageSize(height * factor, width * factor)


def _distance(cells_hw: tuple[int, int], *, ratio: float, cells: float) -> float:
    """How far from the ratio, and a little how far from the area."""
    height, width = cells_hw
    return abs(math.log(width / height / ratio)) + 0.25 * abs(math.log(height * width / cells))


def chosen_size(prompt: str, references: Sequence[ImageSize], *, default: ImageSize, factor: int) -> ImageSize:
    """A size for a request that names none: as the prompt says, else shaped as the first reference, else the model's own."""
    area_px = default.height_px * default.width_px
    asked = asked_for(prompt)
    if asked is None and references:
        asked = Aspect(references[0].width_px, references[0].height_px)
    return default if asked is None else size_of(asked, area_px=area_px, factor=factor)


def asked_for(prompt: str) -> Aspect | None:
    """The aspect ratio that a prompt asks for, as "…, 16:9", "比例3：4", "a panorama of …" or "竖版"; None when it asks for none.

    A ratio counts at the end of a prompt, or anywhere beside a word for it, and only if it is one that pictures commonly have.
    """
    for found in _RATIO.finditer(prompt):
        width, height = map(int, found.groups())
        is_meant = bool(_LAST.fullmatch(prompt, found.end())) or bool(_CUE.search(prompt))
        if is_meant and (max(width, height), min(width, height)) in _RATIOS:
            return Aspect(width, height)
    return next((aspect for words, aspect in _WORDS if re.search(words, prompt, re.IGNORECASE)), None)
