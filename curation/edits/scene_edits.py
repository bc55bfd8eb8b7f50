"""Edits of scenes, exact by construction: one thing changes, everything else stays to the pixel.

Each kind gives the scene after the edit and what was asked for, or None where the scene does not allow it.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from curation.edits import scene_instructions as asking
from curation.edits.instructions import Instructions
from curation.edits.scene_layouts import (
    GRID_SHARE,
    Draw,
    Look,
    Stock,
    are_seen,
    is_free,
    look_of,
    middle_of,
    placed,
)
from models.perception.scene_truth import PLACES, Place, PlacedThing, SceneTruth, centre_of, place_at

EditKind = Literal["add", "remove", "replace", "recolour", "move"]
EDIT_KINDS: tuple[EditKind, ...] = ("add", "remove", "replace", "recolour", "move")
MOST_THINGS = 6
"""Scenes are not made fuller than this."""


class Edited(NamedTuple):
    """What an edit makes of a scene."""

    after: SceneTruth
    texts: Instructions
    named: frozenset[tuple[str, str, str]] = frozenset()
    """Combinations that the texts name beside those of the scenes: the place of a thing of which there are several."""


def edited(kind: EditKind, scene: SceneTruth, stock: Stock, draw: Draw) -> Edited | None:
    """The scene after an edit of that kind; None when there is no room, nothing to take away, or nothing would be seen."""
    return _EDITS[kind](scene, stock, draw)


def _add(scene: SceneTruth, stock: Stock, draw: Draw) -> Edited | None:
    there = {each.thing for each in scene.things}
    looks = [look_of(thing, draw, thing.id, chance=0.3) for thing in stock.things if thing.id not in there]
    look = draw.pick(looks, "thing")
    place = _free_place(scene, look, draw, share=GRID_SHARE)
    if len(scene.things) >= MOST_THINGS or place is None or not are_seen([look], scene.ground):
        return None
    thing = placed(look, middle_of(place), GRID_SHARE, size_px=scene.size_px, place=place)
    return Edited(_with(scene, (*scene.things, thing)), asking.add(thing))


def _remove(scene: SceneTruth, stock: Stock, draw: Draw) -> Edited | None:  # noqa: ARG001 - all edits are called alike
    if len(scene.things) < 2:
        return None
    thing = draw.pick(scene.things, "removed")
    rest = tuple(each for each in scene.things if each is not thing)
    return Edited(_with(scene, rest), asking.remove(thing, scene), asking.named_place(thing, scene))


def _replace(scene: SceneTruth, stock: Stock, draw: Draw) -> Edited | None:
    thing, there = draw.pick(scene.things, "replaced"), {each.thing for each in scene.things}
    looks = [look_of(other, draw, other.id, chance=0.3) for other in stock.things if other.id not in there]
    look = draw.pick(looks, "by")
    if not are_seen([look], scene.ground):
        return None
    longer = max(thing.box[2] - thing.box[0], thing.box[3] - thing.box[1]) / scene.size_px
    other = placed(look, centre_of(thing.box, scene.size_px), longer, size_px=scene.size_px, place=thing.place, size=thing.size)
    things = tuple(other if each is thing else each for each in scene.things)
    texts = asking.replace(thing, other, scene)
    return Edited(_with(scene, things, relation=scene.relation), texts, asking.named_place(thing, scene))


def _recolour(scene: SceneTruth, stock: Stock, draw: Draw) -> Edited | None:
    thing = draw.pick(scene.things, "recoloured")
    known = {each.id: each for each in stock.things}[thing.thing]
    colours = [each for each in known.colours if each != thing.colour and are_seen([Look(known, each)], scene.ground)]
    if not colours:
        return None
    colour = draw.pick(colours, "colour")
    things = tuple(each.model_copy(update={"colour": colour}) if each is thing else each for each in scene.things)
    texts = asking.recolour(thing, colour, scene)
    return Edited(_with(scene, things, relation=scene.relation), texts, asking.named_place(thing, scene))


def _move(scene: SceneTruth, stock: Stock, draw: Draw) -> Edited | None:
    thing = draw.pick(scene.things, "moved")
    known = {each.id: each for each in stock.things}[thing.thing]
    share = max(thing.box[2] - thing.box[0], thing.box[3] - thing.box[1]) / scene.size_px
    place = _free_place(scene, Look(known, thing.colour), draw, share=share, leaving=thing)
    if place is None:
        return None
    box = placed(Look(known, ""), middle_of(place), share, size_px=scene.size_px).box
    moved = thing.model_copy(update={"place": place, "box": box})
    things = tuple(moved if each is thing else each for each in scene.things)
    return Edited(_with(scene, things), asking.move(thing, place, scene), asking.named_place(thing, scene))


def _free_place(scene: SceneTruth, look: Look, draw: Draw, *, share: float, leaving: PlacedThing | None = None) -> Place | None:
    """A cell in which the thing has room and truly lies; never the one that it leaves."""
    others = [each for each in scene.things if each is not leaving]
    left = None if leaving is None else place_at(*centre_of(leaving.box, scene.size_px))
    free = []
    for place in PLACES:
        box = placed(look, middle_of(place), share, size_px=scene.size_px).box
        if place != left and is_free(box, others, scene.size_px) and place_at(*centre_of(box, scene.size_px)) == place:
            free.append(place)
    return draw.pick(free, "place") if free else None


def _with(scene: SceneTruth, things: tuple[PlacedThing, ...], *, relation: str = "") -> SceneTruth:
    """A scene told by how two things lie to each other has to be told otherwise once one of them left its place."""
    changed = {"things": [each.model_dump() for each in things], "relation": relation}
    return SceneTruth.model_validate({**scene.model_dump(), **changed})


_EDITS: Mapping[EditKind, Callable[[SceneTruth, Stock, Draw], Edited | None]] = {
    "add": _add, "remove": _remove, "replace": _replace, "recolour": _recolour, "move": _move,
}  # fmt: skip
