"""Controls: pairs whose reference is a map of the target, which teach to follow edges and to fill in what is hidden.

* ``canny``: the edges of a picture and the words for it; the target is the picture.
* ``mask``: the picture with a region painted out, and the region as a mask of its own; the target is the whole picture.

Maps are composed rows of ``images`` whose parent is the target: they are measured, judged, encoded and taken down like any
others, at the target's own proportions, so that every framing lays both over each other. The region is drawn from the pixels
and a key (a box or a blob around something that is drawn), once for the picture that lacks it and once for its mask.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, UInt8

from curation.captions.facts import captions_en
from curation.decode import decode, encode_png, on_background, resized
from curation.edits import instructions
from curation.edits.composing import (
    ComposeConfig,
    Composed,
    Composition,
    Omitted,
    Parent,
    composition_of,
    image_row,
    num_drawn,
    parents_of,
)  # fmt: skip
from curation.edits.pairing import pair_row
from curation.splits import unit_draw
from curation.tables import PAIRS_SCHEMA

KINDS: tuple[str, ...] = ("canny", "hidden", "mask")
"""Compositions of this module."""

SHAPES: tuple[str, ...] = ("box", "blob")

MIN_HIDDEN, MAX_HIDDEN = 0.05, 0.8
"""Share of what is drawn that a region hides: less leaves nothing to fill in, more nothing to go by."""
MIN_EDGES = 0.002
"""Share of pixels on edges, below which a map says nothing."""
_BLOB_DISCS = 5


def plan_controls(images: pa.Table, config: ComposeConfig) -> list[Composition]:
    """What to make of these pictures, ordered by parent; those without a name are passed over, since nothing says what to draw.

    Args:
        images: rows that were kept, with at least `composing.COLUMNS`; composed rows are passed over.
        config: how many of each kind.
    """
    named = (parent for parent in parents_of(images) if any(captions_en(parent.picture.facts)))
    return [each for parent in named for each in (*_edges(parent, config), *_regions(parent, config))]


def compose_control(composition: Composition, encoded: Sequence[bytes]) -> Composed | Omitted:
    """Make one planned map.

    Args:
        encoded: the parent's encoded picture, alone.

    Raises:
        Undecodable: it is not a picture that we read.
    """
    from models.perception.controls import canny, mask_picture, masked  # heavy: torch comes along, and only workers need it

    rgba = _within(decode(encoded[0]), composition.size_px)
    view = on_background(rgba)
    if composition.kind == "canny":
        edges = canny(view)
        return Omitted("no_edges") if (edges > 0).mean() < MIN_EDGES else _made(composition, edges)
    region = _region(rgba, composition)
    if isinstance(region, Omitted):
        return region
    return _made(composition, masked(view, region) if composition.kind == "hidden" else mask_picture(region))


def control_pairs(compositions: Sequence[Composition]) -> pa.Table:
    """Rows for ``pairs`` of the maps that were made: one for each map of edges, and for each region with both of its pictures."""
    masks = {_region_key(each): each for each in compositions if each.kind == "mask"}
    rows = []
    for each in compositions:
        if each.kind == "canny":
            rows.append(_pair_row("canny", [each]))
        elif each.kind == "hidden" and _region_key(each) in masks:
            rows.append(_pair_row("mask", [each, masks[_region_key(each)]]))
    return pa.Table.from_pylist(rows, schema=PAIRS_SCHEMA)


def _edges(parent: Parent, config: ComposeConfig) -> Iterator[Composition]:
    if num_drawn(config.canny_per_image, "canny", config.seed, parent.picture.id):
        yield composition_of("canny", (parent,), {}, config)


def _regions(parent: Parent, config: ComposeConfig) -> Iterator[Composition]:
    key = ("region", config.seed, parent.picture.id)
    for number in range(num_drawn(config.masks_per_image, *key)):
        shape = SHAPES[int(unit_draw(*key, number, "shape") * len(SHAPES))]
        drawn = {"shape": shape, "key": hashlib.sha256("|".join(map(str, (*key, number))).encode()).hexdigest()[:16]}
        yield from (composition_of(kind, (parent,), drawn, config) for kind in ("hidden", "mask"))


def _region_key(composition: Composition) -> str:
    return json.loads(composition.derivation)["key"]


def _pair_row(kind: str, maps: Sequence[Composition]) -> dict[str, object]:
    """The task is an edit with one map and a composition with two."""
    target = maps[0].parents[0].picture
    texts = instructions.follow_edges if kind == "canny" else instructions.fill_in
    references = [target._replace(id=each.id) for each in maps]
    return pair_row(
        kind, references, target.id, texts(target.facts), shows=target.facts, category=target.category, split=target.split
    )


def _made(composition: Composition, pixels: UInt8[np.ndarray, "y x 3"]) -> Composed:
    return Composed(image_row(composition, encode_png(pixels)))


def _within(rgba: UInt8[np.ndarray, "y x 4"], size_px: int) -> UInt8[np.ndarray, "y2 x2 4"]:
    """At its own proportions, scaled down until no side is longer than that."""
    scale = min(1.0, size_px / max(rgba.shape[:2]))
    height, width = (max(1, round(scale * side)) for side in rgba.shape[:2])
    return resized(rgba, height, width)


def _region(rgba: UInt8[np.ndarray, "y x 4"], composition: Composition) -> Bool[np.ndarray, "y x"] | Omitted:
    """A box or a blob around a pixel that is drawn; the same for the same pixels and key."""
    operation = json.loads(composition.derivation)
    drawn = rgba[..., 3] > 127
    rows, columns = np.nonzero(drawn)
    if not rows.size:
        return Omitted("nothing_hidden")
    key, place = operation["key"], int(unit_draw(operation["key"], "centre") * rows.size)
    build = _box if operation["shape"] == "box" else _blob
    region = build(drawn.shape, (int(rows[place]), int(columns[place])), key)
    share = (region & drawn).sum() / rows.size
    return region if MIN_HIDDEN <= share <= MAX_HIDDEN else Omitted("nothing_hidden" if share < MIN_HIDDEN else "all_hidden")


def _box(shape: tuple[int, ...], centre: tuple[int, int], key: str) -> Bool[np.ndarray, "y x"]:
    """A fifth to a half of either side."""
    region = np.zeros(shape, dtype=bool)
    halves = [side * (0.2 + 0.3 * unit_draw(key, axis, "side")) / 2 for axis, side in enumerate(shape)]
    spans = [slice(max(0, round(at - half)), max(1, round(at + half))) for at, half in zip(centre, halves, strict=True)]
    region[tuple(spans)] = True
    return region


def _blob(shape: tuple[int, ...], centre: tuple[int, int], key: str) -> Bool[np.ndarray, "y x"]:
    """Discs of a tenth to a fifth of the shorter side, each around a place near the one before."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    at_y, at_x, side = float(centre[0]), float(centre[1]), min(shape)
    region = np.zeros(shape, dtype=bool)
    for number in range(_BLOB_DISCS):
        radius = side * (0.1 + 0.1 * unit_draw(key, number, "radius"))
        region |= (y - at_y) ** 2 + (x - at_x) ** 2 <= radius**2
        at_y += side * 0.24 * (unit_draw(key, number, "y") - 0.5)
        at_x += side * 0.24 * (unit_draw(key, number, "x") - 0.5)
    return region
