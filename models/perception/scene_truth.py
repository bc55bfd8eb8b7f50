"""What a composed scene holds, exactly: the one type that curation writes beside a scene and that checks and evaluation read.

A scene is a ground and things on it. Of each thing it says what it is, where its box lies, and which words were *stated* of it: a
colour, a place, a size. A word that is empty was not stated and is not checked; the box is exact whether stated or not. JSON of
`SceneTruth` is the derivation of a scene's row in the table `images`.

Places are the nine cells of a 3 x 3 grid; boxes are in pixels of a square of `size_px`, right and bottom exclusive.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, model_validator

Level = Literal["easy", "medium", "hard"]
LEVELS: tuple[Level, ...] = ("easy", "medium", "hard")

Place = Literal["top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right"]
PLACES: tuple[Place, ...] = ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right")
"""Row by row."""

Size = Literal["small", "large"]
SMALL_BELOW, LARGE_ABOVE = 0.32, 0.50
"""Longer side of a box, as a share of the picture's: below the first a thing is small, above the second large."""

Relation = Literal["left of", "above"]

Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""


class Ground(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What the things lie on."""

    kind: Literal["plain", "photo"]
    name: str
    """A colour word, or what the photograph shows."""
    rgb: tuple[int, int, int] = (0, 0, 0)
    """Of a plain ground."""
    crop: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Of a photograph: left and top of the window as shares of the room it has, and its side as a share of the shorter side."""


class PlacedThing(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One cut-out on the ground."""

    thing: str
    """Id of the picture it was cut from."""
    name_en: str
    name_zh: str
    counter_zh: str
    """Chinese measure word."""
    colour: str = ""
    """Colour it was given, "" for its own."""
    place: Place | Literal[""] = ""
    size: Size | Literal[""] = ""
    box: Box

    @property
    def words(self) -> tuple[str, str, str]:
        """What a text says of it, its place aside: things with the same words are counted together."""
        return self.thing, self.colour, self.size


class SceneTruth(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A whole scene."""

    op: Literal["scene"] = "scene"
    size_px: int
    ground: Ground
    things: tuple[PlacedThing, ...]
    relation: Relation | Literal[""] = ""
    """How the first of two things lies to the second, when that was stated instead of places."""

    @model_validator(mode="after")
    def _relates_two(self) -> "SceneTruth":
        if self.relation and len(self.things) != 2:
            raise ValueError(f"a relation is between two things, this scene has {len(self.things)}; state places instead")
        return self

    @property
    def level(self) -> Level:
        """How much there is to get right.

        Easy: one thing in its own colour. Medium: one coloured thing, two or three, or up to four alike, on a plain ground. Hard:
        anything beyond.
        """
        if self.ground.kind == "photo" or len(self.things) > 4:
            return "hard"
        if len(self.things) == 4 and len({each.words for each in self.things}) > 1:
            return "hard"
        return "easy" if len(self.things) == 1 and not self.things[0].colour else "medium"


def groups_of(things: Sequence[PlacedThing]) -> list[list[PlacedThing]]:
    """Things that one phrase names: those of equal words, unless a place was stated of them. In order of first appearance."""
    groups: dict[tuple[str, ...], list[PlacedThing]] = {}
    for each in things:
        groups.setdefault((*each.words, each.place), []).append(each)
    return list(groups.values())


def place_at(x: float, y: float) -> Place:
    """The cell of a point given in shares of the picture's sides."""
    column, row = (min(2, max(0, int(3 * each))) for each in (x, y))
    return PLACES[3 * row + column]


def centre_of(box: Box, size_px: int) -> tuple[float, float]:
    """Middle of a box in shares of the picture's side."""
    return (box[0] + box[2]) / 2 / size_px, (box[1] + box[3]) / 2 / size_px
