"""Pictures in pieces: where to cut, and how much to look at around each piece.

What is computed at a place by convolutions depends on a neighbourhood alone. A piece that is computed with that neighbourhood
(its halo) around it is the piece of the whole, up to rounding: nothing is blended, no seams are hidden. At the borders of the
whole a piece ends where the whole does, so that padding meets the same pixels.
"""

from collections.abc import Iterator
from itertools import pairwise, product
from typing import NamedTuple


class Span(NamedTuple):
    """A piece of one axis, in cells."""

    start: int
    stop: int
    seen_start: int
    """First cell that is looked at."""
    seen_stop: int

    def kept(self, scale: int) -> slice:
        """The piece, in a grid `scale` times as fine."""
        return slice(self.start * scale, self.stop * scale)

    def seen(self, scale: int) -> slice:
        """What is looked at, in a grid `scale` times as fine."""
        return slice(self.seen_start * scale, self.seen_stop * scale)

    def inside(self, scale: int) -> slice:
        """The piece within what is looked at, in a grid `scale` times as fine."""
        return slice((self.start - self.seen_start) * scale, (self.stop - self.seen_start) * scale)


class Tile(NamedTuple):
    """A rectangle of a picture."""

    y: Span
    x: Span


def tiles(height: int, width: int, *, side: int, halo: int) -> Iterator[Tile]:
    """Rectangles of at most `side` x `side` cells, as alike as can be, that cover the whole once.

    Args:
        halo: cells to look at beyond each border, where there are any.
    """
    for y, x in product(_spans(height, side, halo), _spans(width, side, halo)):
        yield Tile(y, x)


def _spans(length: int, side: int, halo: int) -> list[Span]:
    num = -(-length // side)
    cuts = [length * number // num for number in range(num + 1)]
    return [Span(start, stop, max(0, start - halo), min(length, stop + halo)) for start, stop in pairwise(cuts)]
