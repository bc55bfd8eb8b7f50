"""Pictures composed from others, whose truth is exact because we made them: backgrounds, mirrors, pastes.

Two steps. `plan` reads metadata alone and lists what to compose; it is deterministic, keyed by the seed and the parents' ids.
`compose` does one of them from the parents' bytes, in a worker, and returns a row for ``images``, or nothing with a reason: a
picture that is nearly symmetric has no visible mirror image, an opaque one no background to change. Rows for ``pairs`` need no
pixels: `pairs_of` writes them for the compositions that came to be.

A composed picture's id is a digest of its operation and parents, so composing twice gives the same row. Its split is that of its
parents; parents of two splits are never composed.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from pydantic import BaseModel, Field

from curation.captions.facts import Facts, derived, facts_of, stated
from curation.decode import centred, decode, encode_png, fit_square, on_background, resized
from curation.edits import instructions
from curation.edits.instructions import Instructions
from curation.edits.pairing import COLUMNS as PAIRING_COLUMNS
from curation.edits.pairing import Picture, pair_row
from curation.splits import unit_draw
from curation.tables import IMAGES_SCHEMA, PAIRS_SCHEMA

BACKGROUNDS: Mapping[str, tuple[int, int, int]] = {
    "red": (222, 68, 62), "orange": (247, 150, 60), "yellow": (252, 222, 90), "green": (104, 190, 104), "blue": (82, 146, 232),
    "purple": (156, 104, 206), "pink": (250, 164, 200), "grey": (158, 162, 168),
}  # fmt: skip
"""Background colours by name, sRGB."""

LAYOUTS: tuple[str, ...] = ("left_right", "above_below")

COLUMNS: tuple[str, ...] = (*PAIRING_COLUMNS, "licence", "attribution")
"""Columns of ``images`` that planning reads."""

MARGIN_SHARE = 0.03
"""Empty border around each cut-out of a paste, as a share of the picture's side."""
MIN_ASYMMETRY = 0.3
"""Mirrors that differ by less than this share of the drawing's contrast to white are left out; chosen by looking at the emoji."""
MAX_LOST_SHARE = 0.5
"""A background is left out when more than this share of the drawing is within `LOST_DISTANCE` of its colour."""
LOST_DISTANCE = 48.0
MAX_COVER = 0.9
"""Above this share of the frame covered, hardly any background would show."""


class ComposeConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How many pictures to compose. Fractions are meant over many pictures: 1.5 is one or two each."""

    kind: Literal["cutouts"] = "cutouts"
    backgrounds_per_image: float = Field(ge=0, le=len(BACKGROUNDS))
    """Coloured backgrounds for each picture."""
    mirrors_per_image: float = Field(ge=0, le=1)
    """Mirror images for each picture."""
    pastes_per_image: float = Field(ge=0, le=8)
    """Pastes in which a picture comes first."""
    canny_per_image: float = Field(default=0.0, ge=0, le=1)
    """Maps of edges for each picture, with the picture as their target (`curation.edits.controls`)."""
    masks_per_image: float = Field(default=0.0, ge=0, le=8)
    """Regions to fill in for each picture, two composed pictures each."""
    seed: int = 0
    """Key of all draws."""
    size_px: int = Field(default=128, ge=16, le=1024)
    """Width and height of the composed pictures; of maps the longer side at most."""


class Parent(NamedTuple):
    """A picture to compose from: what pairs need, and what a composed row inherits."""

    picture: Picture
    text_en: str
    text_zh: str
    licence: str
    attribution: str


class Composition(NamedTuple):
    """One picture to be made. Small and picklable: workers get these and the parents' bytes."""

    kind: str
    """ "background", "mirror" or "paste"; of maps one of `controls.KINDS`."""
    parents: tuple[Parent, ...]
    derivation: str
    """JSON of the operation, as it is stored."""
    size_px: int

    @property
    def parent_ids(self) -> tuple[str, ...]:
        """Ids of the pictures whose bytes `compose` needs, in that order."""
        return tuple(parent.picture.id for parent in self.parents)

    @property
    def id(self) -> str:
        """Id of the composed picture."""
        content = "|".join([self.derivation, str(self.size_px), *self.parent_ids])
        return f"composed/{hashlib.sha256(content.encode()).hexdigest()[:20]}"


class Composed(NamedTuple):
    """A picture that was made."""

    image_row: dict[str, object]
    """All columns of IMAGES_SCHEMA."""


class Omitted(NamedTuple):
    """A composition that would not be worth seeing."""

    reason: str
    """For example "symmetric", or "no_background" (the drawing fills the frame)."""


def plan(images: pa.Table, config: ComposeConfig) -> list[Composition]:
    """What to compose from these pictures, ordered by first parent; the same rows (in any order) and seed give the same list.

    Args:
        images: rows that were kept, with at least `COLUMNS`; composed rows are passed over.
        config: how many of each kind.
    """
    parents = parents_of(images)
    partners = _partners(parents)
    compositions: dict[str, Composition] = {}
    for parent in parents:
        for each in (*_backgrounds(parent, config), *_mirrors(parent, config), *_pastes(parent, partners, config)):
            compositions.setdefault(each.id, each)
    return list(compositions.values())


def compose(composition: Composition, encoded: Sequence[bytes]) -> Composed | Omitted:
    """Make one planned picture.

    Args:
        composition: from `plan`.
        encoded: the parents' encoded pictures, in the order of `parent_ids`.

    Raises:
        Undecodable: a parent is not a picture that we read.
    """
    pictures = [decode(each) for each in encoded]
    operation = json.loads(composition.derivation)
    match composition.kind:
        case "background":
            pixels = _on_colour(pictures[0], BACKGROUNDS[operation["colour"]], composition.size_px)
        case "mirror":
            pixels = _mirrored(pictures[0], composition.size_px)
        case "paste":
            pixels = _pasted(pictures[0], pictures[1], operation["layout"], composition.size_px)
        case unknown:
            raise AssertionError(f"composition of unknown kind {unknown!r}")
    return (
        pixels if isinstance(pixels, Omitted) else Composed(image_row(composition, encode_png(pixels)))
    )


def image_table(composed: Sequence[Composed]) -> pa.Table:
    """Their rows for ``images``."""
    return pa.Table.from_pylist([each.image_row for each in composed], schema=IMAGES_SCHEMA)


def pairs_of(compositions: Sequence[Composition]) -> pa.Table:
    """Their rows for ``pairs``, known before a picture is made."""
    return pa.Table.from_pylist([_pair_row(each) for each in compositions], schema=PAIRS_SCHEMA)


def parents_of(images: pa.Table) -> list[Parent]:
    """The rows that were not composed, by id."""
    missing = [name for name in COLUMNS if name not in images.column_names]
    if missing:
        raise ValueError(f"composing needs the columns {missing} of images, got {images.column_names}; read them too")
    parents = [_parent(row) for row in images.select(list(COLUMNS)).to_pylist() if not row["parents"]]
    return sorted(parents, key=lambda parent: parent.picture.id)


def _parent(row: Mapping[str, object]) -> Parent:
    text = {name: str(row[name]) for name in COLUMNS if name != "parents"}
    picture = Picture(
        text["id"], text["source"], text["concept"], text["category"], text["subcategory"], text["split"], facts_of(row)
    )
    return Parent(picture, text["text_en"], text["text_zh"], text["licence"], text["attribution"])


def num_drawn(share: float, *key: str | int) -> int:
    """`share` rounded up or down by a keyed draw, right on average."""
    whole = int(share)
    return whole + (unit_draw(*key) < share - whole)


def _backgrounds(parent: Parent, config: ComposeConfig) -> list[Composition]:
    key = ("background", config.seed, parent.picture.id)
    colours = [name for name in BACKGROUNDS if name != parent.picture.facts.colour]
    colours.sort(key=lambda name: unit_draw(*key, name))
    chosen = colours[: num_drawn(config.backgrounds_per_image, *key)]
    return [composition_of("background", (parent,), {"colour": name, "rgb": list(BACKGROUNDS[name])}, config) for name in chosen]


def _mirrors(parent: Parent, config: ComposeConfig) -> list[Composition]:
    wanted = num_drawn(config.mirrors_per_image, "mirror", config.seed, parent.picture.id)
    return [composition_of("mirror", (parent,), {}, config)] * wanted


def _pastes(first: Parent, partners: Mapping[tuple[str, str], Sequence[Parent]], config: ComposeConfig) -> list[Composition]:
    """Partners are drawn from the pictures of the same style and split; another concept, so that both can be named."""
    key = ("paste", config.seed, first.picture.id)
    group = partners[_partner_key(first)]
    made: list[Composition] = []
    for number in range(num_drawn(config.pastes_per_image, *key)):
        second = group[int(unit_draw(*key, number, "partner") * len(group))]
        if second.picture.concept == first.picture.concept or not (first.text_en and second.text_en):
            continue
        layout = LAYOUTS[int(unit_draw(*key, number, "layout") * len(LAYOUTS))]
        parts = [stated(parent.picture.facts) for parent in (first, second)]
        made.append(composition_of("paste", (first, second), {"layout": layout, "parts": parts}, config))
    return made


def _partners(parents: Sequence[Parent]) -> Mapping[tuple[str, str], Sequence[Parent]]:
    groups: defaultdict[tuple[str, str], list[Parent]] = defaultdict(list)
    for parent in parents:
        groups[_partner_key(parent)].append(parent)
    return groups


def _partner_key(parent: Parent) -> tuple[str, str]:
    return parent.picture.facts.style, parent.picture.split


def composition_of(kind: str, parents: tuple[Parent, ...], operation: Mapping[str, object], config: ComposeConfig) -> Composition:
    """One of these parents, with the operation as it is stored."""
    derivation = json.dumps({"op": kind, **operation}, sort_keys=True, ensure_ascii=False)
    return Composition(kind, parents, derivation, config.size_px)


def _on_colour(
    rgba: UInt8[np.ndarray, "y x 4"], colour: tuple[int, int, int], size_px: int
) -> UInt8[np.ndarray, "s s 3"] | Omitted:
    square = fit_square(rgba, size_px)
    drawn = rgba[..., 3] > 127
    if drawn.mean() > MAX_COVER:
        return Omitted("no_background")
    distance = np.linalg.norm(rgba[..., :3][drawn].astype(np.float32) - np.asarray(colour, np.float32), axis=-1)
    if distance.size and (distance < LOST_DISTANCE).mean() > MAX_LOST_SHARE:
        return Omitted("background_like_picture")
    return on_background(square, background=colour)


def _mirrored(rgba: UInt8[np.ndarray, "y x 4"], size_px: int) -> UInt8[np.ndarray, "s s 4"] | Omitted:
    square = fit_square(rgba, size_px)
    contrast = 255 - on_background(fit_square(rgba, 32)).astype(np.float32)  # small, so that a shift by a pixel does not count
    difference = np.abs(contrast - contrast[:, ::-1])
    if difference.sum() <= MIN_ASYMMETRY * contrast.sum():
        return Omitted("symmetric")
    return np.ascontiguousarray(square[:, ::-1])


def _pasted(
    first: UInt8[np.ndarray, "y1 x1 4"], second: UInt8[np.ndarray, "y2 x2 4"], layout: str, size_px: int
) -> UInt8[np.ndarray, "s s 4"]:
    """Both pictures trimmed to what is drawn and fitted, each into its half of the frame."""
    half = size_px // 2
    height, width = (size_px, half) if layout == "left_right" else (half, size_px)
    halves = [_fitted(each, height, width, margin_px=round(size_px * MARGIN_SHARE)) for each in (first, second)]
    return centred(np.concatenate(halves, axis=1 if layout == "left_right" else 0), size_px, size_px)


def _fitted(rgba: UInt8[np.ndarray, "y x 4"], height_px: int, width_px: int, *, margin_px: int) -> UInt8[np.ndarray, "y2 x2 4"]:
    rows, columns = np.nonzero(rgba[..., 3] > 8)
    if rows.size == 0:
        return np.zeros((height_px, width_px, 4), dtype=np.uint8)
    trimmed = rgba[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = min((height_px - 2 * margin_px) / trimmed.shape[0], (width_px - 2 * margin_px) / trimmed.shape[1])
    fitted = resized(trimmed, max(1, round(trimmed.shape[0] * scale)), max(1, round(trimmed.shape[1] * scale)))
    return centred(fitted, height_px, width_px)


def image_row(composition: Composition, encoded: bytes) -> dict[str, object]:
    """All columns of IMAGES_SCHEMA of a composed picture."""
    inherited = _pasted_fields(composition) if composition.kind == "paste" else _single_fields(composition.parents[0])
    return inherited | {
        "id": composition.id, "source": "composed", "locator": "", "image": encoded, "ingest_error": "",
        "style": composition.parents[0].picture.facts.style, "split": composition.parents[0].picture.split,
        "licence": " AND ".join(dict.fromkeys(parent.licence for parent in composition.parents)),
        "attribution": "; ".join(dict.fromkeys(parent.attribution for parent in composition.parents)),
        "parents": list(composition.parent_ids), "derivation": composition.derivation,
    }  # fmt: skip


def _single_fields(parent: Parent) -> dict[str, object]:
    picture, facts = parent.picture, parent.picture.facts
    return {
        "text_en": parent.text_en, "text_zh": parent.text_zh, "concept": picture.concept, "category": picture.category,
        "subcategory": picture.subcategory, "tone": facts.tone, "gender": facts.gender, "colour": facts.colour,
    }  # fmt: skip


def _pasted_fields(composition: Composition) -> dict[str, object]:
    """A paste is filed under its first picture; its concept is both, so that it counts as one combination."""
    first, second = composition.parents
    concepts = sorted((first.picture.concept, second.picture.concept))
    both_zh = f"{first.text_zh}和{second.text_zh}" if first.text_zh and second.text_zh else ""
    return {
        "text_en": f"{first.text_en} and {second.text_en}", "text_zh": both_zh, "concept": "+".join(concepts),
        "category": first.picture.category, "subcategory": "", "tone": "", "gender": "", "colour": "",
    }  # fmt: skip


def _pair_row(composition: Composition) -> dict[str, object]:
    first = composition.parents[0].picture
    shows = derived(_facts_of_result(composition), composition.derivation)
    texts = _texts(composition, shows)
    references = [parent.picture for parent in composition.parents]
    return pair_row(composition.kind, references, composition.id, texts, shows=shows, category=first.category, split=first.split)


def _facts_of_result(composition: Composition) -> Facts:
    first = composition.parents[0]
    if composition.kind != "paste":
        return first.picture.facts
    fields = _pasted_fields(composition)
    return Facts(
        str(fields["text_en"]), str(fields["text_zh"]), first.picture.facts.style, first.picture.category, "", "", "", ""
    )


def _texts(composition: Composition, shows: Facts) -> Instructions:
    facts = [parent.picture.facts for parent in composition.parents]
    match composition.kind:
        case "background":
            return instructions.rebackground(facts[0], shows)
        case "mirror":
            return instructions.mirror(facts[0])
        case _:
            return instructions.arrange(facts[0], facts[1], shows)
