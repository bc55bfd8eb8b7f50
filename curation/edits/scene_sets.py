"""Many pictures into one, and one into many: compositions of single things, and sets of pictures that belong together.

Pictures of single things, here called portraits, are scenes themselves and serve as references.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from curation.edits import scene_instructions as asking
from curation.edits.instructions import Instructions
from curation.edits.scene_layouts import ALONE_SHARE, SIZE_SHARES, Draw, Look, Stock, are_seen, grid, look_of, placed
from models.perception.scene_truth import PLACES, Ground, PlacedThing, SceneTruth

MOST_REFERENCES = 10
_ATTEMPTS = 25
"""Draws of things and ground for a composition or set of a drawn kind and size, so that full ones are as common as meant."""
_MOST_STATED = 5
"""Places of more things than this are left to the model."""
_SMALL_GRID = [(column, row) for row in (0.2, 0.5, 0.8) for column in (0.14, 0.38, 0.62, 0.86)]
_SMALL_GRID_SHARE = 0.2


class Family(NamedTuple):
    """Scenes that make one sample."""

    kind: str
    """ "gather", or "set_grounds", "set_growing", "set_sequence"."""
    references: tuple[SceneTruth, ...]
    targets: tuple[SceneTruth, ...]
    texts: Instructions
    named: frozenset[tuple[str, str, str]] = frozenset()
    """Combinations that the texts name beside those of the scenes."""


def gathered(stock: Stock, draw: Draw) -> Family | None:
    """Two to ten portraits, and the scene with all their things; None when no ground was drawn on which all are seen."""
    num = min(_num_references(draw), len(stock.things))
    return _first_made(stock, draw, partial(_gathered, num=num))


def a_set(stock: Stock, draw: Draw) -> Family | None:
    """Three or four pictures that belong together: one thing on several grounds, one that grows, or one thing more in each."""
    kinds: tuple[Callable[[Stock, Draw], Family | None], ...] = (_on_grounds, _growing, _sequence)
    return _first_made(stock, draw, draw.pick(kinds, "kind"))


def _first_made(stock: Stock, draw: Draw, make: Callable[[Stock, Draw], Family | None]) -> Family | None:
    made = (make(stock, Draw((*draw.key, attempt))) for attempt in range(_ATTEMPTS))
    return next((family for family in made if family is not None), None)


def _gathered(stock: Stock, draw: Draw, *, num: int) -> Family | None:
    things = draw.some(stock.things, num, "things")
    looks = [look_of(thing, draw, thing.id, chance=0.25) for thing in things]
    ground = draw.pick(stock.plain, "ground")
    portraits = [_portrait(stock, look, draw, number) for number, look in enumerate(looks)]
    if not are_seen(looks, ground) or not all(portraits):
        return None
    target = SceneTruth(size_px=stock.size_px, ground=ground, things=_laid_out(stock, looks, draw))
    return Family("gather", tuple(filter(None, portraits)), (target,), asking.gather(target.things, ground))


def _num_references(draw: Draw) -> int:
    """Two to four mostly, up to `MOST_REFERENCES`."""
    many = draw.unit("many") < 0.35
    return 5 + int((MOST_REFERENCES - 4) * draw.unit("num")) if many else 2 + int(3 * draw.unit("num"))


def _portrait(stock: Stock, look: Look, draw: Draw, *name: str | int) -> SceneTruth | None:
    grounds = [ground for ground in stock.plain if are_seen([look], ground)]
    return _alone(stock, look, draw.pick(grounds, "portrait", *name)) if grounds else None


def _alone(stock: Stock, look: Look, ground: Ground) -> SceneTruth:
    thing = placed(look, (0.5, 0.5), ALONE_SHARE, size_px=stock.size_px)
    return SceneTruth(size_px=stock.size_px, ground=ground, things=(thing,))


def _laid_out(stock: Stock, looks: Sequence[Look], draw: Draw) -> tuple[PlacedThing, ...]:
    if len(looks) <= len(PLACES):
        places = draw.some(PLACES, len(looks), "places")
        return grid(looks, places, size_px=stock.size_px, draw=draw, states=len(looks) <= _MOST_STATED)
    centres = draw.some(_SMALL_GRID, len(looks), "places")
    return tuple(placed(look, at, _SMALL_GRID_SHARE, size_px=stock.size_px) for look, at in zip(looks, centres, strict=True))


def _on_grounds(stock: Stock, draw: Draw) -> Family | None:
    look = look_of(draw.pick(stock.things, "thing"), draw, chance=0.3)
    grounds = [ground for ground in draw.some(stock.plain, len(stock.plain), "grounds") if are_seen([look], ground)][:4]
    if len(grounds) < 4:
        return None
    targets = tuple(_alone(stock, look, ground) for ground in grounds)
    return Family("set_grounds", (), targets, asking.on_grounds(targets[0].things[0], grounds))


def _growing(stock: Stock, draw: Draw) -> Family | None:
    look = look_of(draw.pick(stock.things, "thing"), draw, chance=0.3)
    portrait = _portrait(stock, look, draw)
    if portrait is None:
        return None
    small, large = (
        placed(look, (0.5, 0.5), SIZE_SHARES[size], size_px=stock.size_px, size=size) for size in ("small", "large")
    )
    targets = (portrait.model_copy(update={"things": (small,)}), portrait, portrait.model_copy(update={"things": (large,)}))
    return Family("set_growing", (), targets, asking.growing(portrait.things[0]))


def _sequence(stock: Stock, draw: Draw) -> Family | None:
    num = 3 + int(2 * draw.unit("num"))
    looks = [look_of(thing, draw, thing.id, chance=0.25) for thing in draw.some(stock.things, num, "things")]
    ground = draw.pick(stock.plain, "ground")
    if not are_seen(looks, ground):
        return None
    things = grid(looks, draw.some(PLACES, num, "places"), size_px=stock.size_px, draw=draw, states=True)
    targets = tuple(SceneTruth(size_px=stock.size_px, ground=ground, things=things[: each + 1]) for each in range(num))
    return Family("set_sequence", (), targets, asking.one_more_each(things))


