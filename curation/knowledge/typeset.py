"""Setting lines of text: breaking, fitting and drawing, with the box of every line.

Words break at blanks, Chinese between any two characters but before closing punctuation (GB/T 15834: no line begins with one).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from curation.knowledge.fonts import Font, loaded
from curation.knowledge.geometry import Box, Px
from curation.knowledge.palette import Rgb

Align = Literal["left", "centre", "right"]
_NEVER_FIRST = frozenset("，。、；：！？）》”’%…,.;:!?)")


class Line(NamedTuple):
    """One drawn line."""

    text: str
    box: Box


class Block(NamedTuple):
    """Text broken into lines at a size, not yet drawn."""

    lines: tuple[str, ...]
    font: Font
    size_px: int
    leading: float = 1.35
    """Distance of baselines over the size."""

    @property
    def face(self) -> ImageFont.FreeTypeFont:
        """The font at the block's size."""
        return loaded(self.font, self.size_px)

    @property
    def height_px(self) -> Px:
        """From the ascent of the first line to the descent of the last, which scripts reach far out with."""
        return self.size_px * self.leading * (len(self.lines) - 1) + sum(self.face.getmetrics())

    @property
    def width_px(self) -> Px:
        """Of the longest line."""
        return max(self.face.getlength(line) for line in self.lines)


def broken(text: str, face: ImageFont.FreeTypeFont, width_px: Px) -> tuple[str, ...]:
    """Lines of at most `width_px`; a single word that is wider stays whole, so that no word is ever cut."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for piece in _pieces(paragraph):
            if line and face.getlength((line + piece).rstrip()) > width_px:
                lines.append(line.rstrip())
                line = piece.lstrip()
            else:
                line += piece
        lines.append(line.rstrip())
    return tuple(lines)


def fitted(
    text: str, font: Font, fit_px: tuple[Px, Px], *, largest_px: int, smallest_px: int = 9, leading: float = 1.35
) -> Block | None:
    """The text at the largest size at which it fits into (width, height); None when it does not fit at `smallest_px`.

    A break that leaves one character alone on the last line counts as not fitting, unless nothing smaller helps.
    """
    with_orphan: Block | None = None
    for size_px in _sizes(largest_px, smallest_px):
        block = Block(broken(text, loaded(font, size_px), fit_px[0]), font, size_px, leading)
        if block.width_px <= fit_px[0] and block.height_px <= fit_px[1]:
            if len(block.lines) == 1 or len(block.lines[-1]) > 1:
                return block
            with_orphan = with_orphan or block
    return with_orphan


def draw_block(image: Image.Image, block: Block, at: tuple[Px, Px, Px], *, ink: Rgb, align: Align = "left") -> tuple[Line, ...]:
    """Draws the block from (left, top) across a width, and gives the box of every line.

    Args:
        at: left, top and width in pixels.
    """
    drawing = ImageDraw.Draw(image)
    left, top, width = at
    anchor_x, anchor = {"left": (left, "la"), "centre": (left + width / 2, "ma"), "right": (left + width, "ra")}[align]
    drawn: list[Line] = []
    for place, text in enumerate(block.lines):
        where = (anchor_x, top + place * block.size_px * block.leading)
        drawing.text(where, text, fill=ink, font=block.face, anchor=anchor)
        box = drawing.textbbox(where, text, font=block.face, anchor=anchor)
        drawn.append(Line(text, box))
    return tuple(drawn)


def bounds(lines: Sequence[Line]) -> Box:
    """The box around lines."""
    return (
        min(line.box[0] for line in lines), min(line.box[1] for line in lines),
        max(line.box[2] for line in lines), max(line.box[3] for line in lines),
    )  # fmt: skip


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    for character in text:
        sticks = pieces and (character in _NEVER_FIRST or (_is_latin(character) and _is_latin(pieces[-1][-1])))
        if sticks:
            pieces[-1] += character
        else:
            pieces.append(character)
    return pieces


def _is_latin(character: str) -> bool:
    """Whether a character belongs to the word before it: not a blank, not CJK."""
    return not character.isspace() and ord(character) < 0x2E80


def _sizes(largest: int, smallest: int) -> list[int]:
    sizes = [largest]
    while sizes[-1] > smallest:
        sizes.append(max(smallest, min(sizes[-1] - 1, round(sizes[-1] * 0.92))))
    return sizes
