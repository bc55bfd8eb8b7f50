"""Scenes of each level, drawn by key: which things, how many, in which colours, where, on which ground.

Words that are stated hold with room to spare: a place is the middle of its cell give or take a jitter, sizes stay away from the
limits of small and large, things never touch. A thing alone of which no place is stated lies in the middle.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeVar

from curation.edits.scene_things import Thing
from curation.splits import unit_draw
from models.perception.scene_truth import PLACES, Box, Ground, Level, Place, PlacedThing, Relation, SceneTruth, Size

T = TypeVar("T")

CELL_CENTRES = (0.18, 0.5, 0.82)
GRID_SHARE = 0.27
"""Longer side of a thing in a grid: cells are 0.32 apart, so 0.05 of the side stays free between neighbours."""
ALONE_SHARE, PLACED_SHARE, PAIR_SHARE = 0.44, 0.35, 0.38
SIZE_SHARES: Mapping[Size, float] = {"small": 0.25, "large": 0.66}
_JITTER = 0.012
_CLEARANCE = 0.03
"""Free space around a thing that is added or moved, as a share of the side."""


class Draw(NamedTuple):
    """A stream of choices that depend on a key alone; each choice has a name, so that a further one disturbs no other."""

    key: tuple[str | int, ...]

    def unit(self, *name: str | int) -> float:
        """A number in [0, 1)."""
        return unit_draw(*self.key, *name)

    def pick(self, options: Sequence[T], *name: str | int) -> T:
        """One of the options."""
        return options[int(self.unit(*name) * len(options))]

    def some(self, options: Sequence[T], num: int, *name: str | int) -> list[T]:
        """`num` different options in drawn order."""
        order = sorted(range(len(options)), key=lambda place: self.unit(*name, place))
        return [options[place] for place in order[:num]]


class Stock(NamedTuple):
    """What scenes are made of."""

    things: tuple[Thing, ...]
    plain: tuple[Ground, ...]
    photos: tuple[Ground, ...]
    size_px: int


class Look(NamedTuple):
    """A thing in a colour."""

    thing: Thing
    colour: str


def scene_of(level: Level, stock: Stock, draw: Draw) -> SceneTruth | None:
    """A scene of a level; None when the drawn things are not seen on the drawn ground: draw with another key."""
    made = draw.pick(_VARIANTS[level], "variant")(stock, draw)
    return made if made is not None and made.level == level else None


def placed(
    look: Look, centre: tuple[float, float], share: float, *, size_px: int, place: Place | Literal[""] = "",
    size: Size | Literal[""] = "",
) -> PlacedThing:  # fmt: skip
    """The thing with its middle there, moved as little as keeps it inside the picture; `share` is that of its longer side."""
    facts, aspect = look.thing.parent.picture.facts, look.thing.aspect
    width, height = (max(2, round(share * size_px * min(1.0, each))) for each in (aspect, 1 / aspect))
    left, top = (
        min(max(1, round(middle * size_px - length / 2)), size_px - 1 - length)
        for middle, length in zip(centre, (width, height), strict=True)
    )
    box = (left, top, left + width, top + height)
    return PlacedThing(
        thing=look.thing.id, name_en=facts.name_en, name_zh=facts.name_zh, counter_zh=look.thing.counter_zh, colour=look.colour,
        place=place, size=size, box=box,
    )  # fmt: skip


def middle_of(place: Place) -> tuple[float, float]:
    """Centre of a cell."""
    row, column = divmod(PLACES.index(place), 3)
    return CELL_CENTRES[column], CELL_CENTRES[row]


def is_free(box: Box, others: Sequence[PlacedThing], size_px: int) -> bool:
    """Whether a box keeps its distance from all others."""
    room = _CLEARANCE * size_px
    return all(
        any(box[axis] - room >= other.box[axis + 2] or other.box[axis] - room >= box[axis + 2] for axis in (0, 1))
        for other in others
    )


def are_seen(looks: Sequence[Look], ground: Ground) -> bool:
    """Whether every one of them stands out on the ground."""
    return all((look.colour, ground.name) in look.thing.visible for look in looks)


def look_of(thing: Thing, draw: Draw, *name: str | int, chance: float) -> Look:
    """The thing, in one of its colours with that chance."""
    is_coloured = bool(thing.colours) and draw.unit(*name, "coloured") < chance
    return Look(thing, draw.pick(thing.colours, *name, "colour") if is_coloured else "")


def photo_window(ground: Ground, draw: Draw) -> Ground:
    """A photographic ground seen through a drawn window."""
    left, top, side = (round(draw.unit("window", each), 3) for each in ("left", "top", "side"))
    return ground.model_copy(update={"crop": (left, top, round(0.7 + 0.3 * side, 3))})


def grid(looks: Sequence[Look], places: Sequence[Place], *, size_px: int, draw: Draw, states: bool) -> tuple[PlacedThing, ...]:
    """Things in cells of the grid, their places stated or not."""
    return tuple(
        placed(look, _jittered(middle_of(place), draw, number), GRID_SHARE, size_px=size_px, place=place if states else "")
        for number, (look, place) in enumerate(zip(looks, places, strict=True))
    )


def _jittered(centre: tuple[float, float], draw: Draw, *name: str | int) -> tuple[float, float]:
    x, y = (each + _JITTER * (2 * draw.unit("jitter", *name, axis) - 1) for each, axis in zip(centre, "xy", strict=True))
    return x, y


def _scene(
    stock: Stock, ground: Ground, looks: Sequence[Look], things: tuple[PlacedThing, ...], relation: Relation | Literal[""] = ""
) -> SceneTruth | None:
    if not are_seen(looks, ground):
        return None
    return SceneTruth(size_px=stock.size_px, ground=ground, things=things, relation=relation)


def _ground(stock: Stock, draw: Draw) -> Ground:
    return draw.pick(stock.plain, "ground")


def _any_ground(stock: Stock, draw: Draw) -> Ground:
    """A photograph more often than not."""
    if stock.photos and draw.unit("photo") < 0.6:
        return photo_window(draw.pick(stock.photos, "ground"), draw)
    return _ground(stock, draw)


def _alone(stock: Stock, draw: Draw) -> SceneTruth | None:
    """One thing in the middle."""
    return _one(stock, draw, Look(draw.pick(stock.things, "thing"), ""), "alone")


def _sized(stock: Stock, draw: Draw) -> SceneTruth | None:
    """One thing that is small or large."""
    return _one(stock, draw, Look(draw.pick(stock.things, "thing"), ""), "sized")


def _somewhere(stock: Stock, draw: Draw) -> SceneTruth | None:
    """One thing in a cell."""
    return _one(stock, draw, Look(draw.pick(stock.things, "thing"), ""), "somewhere")


def _coloured(stock: Stock, draw: Draw) -> SceneTruth | None:
    """One coloured thing, in the middle or in a cell, or small or large."""
    look = look_of(draw.pick(stock.things, "thing"), draw, chance=1.0)
    return _one(stock, draw, look, draw.pick(("alone", "sized", "somewhere"), "how"))


def _one(stock: Stock, draw: Draw, look: Look, how: str) -> SceneTruth | None:
    centre = _jittered((0.5, 0.5), draw)
    match how:
        case "sized":
            size = draw.pick(tuple(SIZE_SHARES), "size")
            thing = placed(look, centre, SIZE_SHARES[size], size_px=stock.size_px, size=size)
        case "somewhere":
            place = draw.pick(PLACES, "place")
            thing = placed(look, _jittered(middle_of(place), draw), PLACED_SHARE, size_px=stock.size_px, place=place)
        case _:
            thing = placed(look, centre, ALONE_SHARE, size_px=stock.size_px)
    return _scene(stock, _ground(stock, draw), [look], (thing,))


def _pair(stock: Stock, draw: Draw) -> SceneTruth | None:
    """Two different things, side by side or one above the other, told by places or by how they lie to each other."""
    looks = [look_of(thing, draw, thing.id, chance=0.4) for thing in draw.some(stock.things, 2, "things")]
    is_row, is_relation = draw.unit("row") < 0.5, draw.unit("relation") < 0.5
    places: tuple[Place, Place] = ("left", "right") if is_row else ("top", "bottom")
    centres = [(0.25, 0.5), (0.75, 0.5)] if is_row else [(0.5, 0.25), (0.5, 0.75)]
    things = tuple(
        placed(look, _jittered(centre, draw, place), PAIR_SHARE, size_px=stock.size_px, place="" if is_relation else place)
        for look, centre, place in zip(looks, centres, places, strict=True)
    )
    relation: Relation = "left of" if is_row else "above"
    return _scene(stock, _ground(stock, draw), looks, things, relation if is_relation else "")


def _trio(stock: Stock, draw: Draw) -> SceneTruth | None:
    """Three different things in cells of one row or column."""
    looks = [look_of(thing, draw, thing.id, chance=0.3) for thing in draw.some(stock.things, 3, "things")]
    rows: tuple[tuple[Place, ...], ...] = (("left", "centre", "right"), ("top", "centre", "bottom"))
    things = grid(looks, draw.pick(rows, "row"), size_px=stock.size_px, draw=draw, states=True)
    return _scene(stock, _ground(stock, draw), looks, things)


def _counted(stock: Stock, draw: Draw) -> SceneTruth | None:
    """Two to four of one thing."""
    return _several(stock, draw, num=2 + int(3 * draw.unit("count")), chance=0.3, ground=_ground(stock, draw))


def _many(stock: Stock, draw: Draw) -> SceneTruth | None:
    """Three to six of one coloured thing."""
    return _several(stock, draw, num=3 + int(4 * draw.unit("count")), chance=1.0, ground=_any_ground(stock, draw))


def _several(stock: Stock, draw: Draw, *, num: int, chance: float, ground: Ground) -> SceneTruth | None:
    looks = [look_of(draw.pick(stock.things, "thing"), draw, chance=chance)] * num
    things = grid(looks, draw.some(PLACES, num, "places"), size_px=stock.size_px, draw=draw, states=False)
    return _scene(stock, ground, looks, things)


def _arranged(stock: Stock, draw: Draw) -> SceneTruth | None:
    """Three or four different things, each in a stated cell, half of them coloured."""
    num = 3 + int(2 * draw.unit("count"))
    looks = [look_of(thing, draw, thing.id, chance=0.5) for thing in draw.some(stock.things, num, "things")]
    things = grid(looks, draw.some(PLACES, num, "places"), size_px=stock.size_px, draw=draw, states=True)
    return _scene(stock, _any_ground(stock, draw), looks, things)


def _two_kinds(stock: Stock, draw: Draw) -> SceneTruth | None:
    """Some of one thing and some of another, four to six in all."""
    total = 4 + int(3 * draw.unit("count"))
    first = 1 + int((total - 1) * draw.unit("first"))
    ours, theirs = (look_of(thing, draw, thing.id, chance=0.4) for thing in draw.some(stock.things, 2, "things"))
    looks = [ours] * first + [theirs] * (total - first)
    things = grid(looks, draw.some(PLACES, total, "places"), size_px=stock.size_px, draw=draw, states=False)
    return _scene(stock, _any_ground(stock, draw), looks, things)


_VARIANTS: Mapping[Level, tuple[Callable[[Stock, Draw], SceneTruth | None], ...]] = {
    "easy": (_alone, _sized, _somewhere), "medium": (_coloured, _pair, _trio, _counted), "hard": (_many, _arranged, _two_kinds),
}  # fmt: skip
