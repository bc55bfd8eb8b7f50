"""The things that scenes are made of: which pictures are cut out, and what each cut-out can be.

Names, features and splits choose the things, from metadata alone. What a thing can be is measured once, from its own pixels: its
proportions, the colours it can take so that the word is true of it, and the grounds on which each of these can be seen.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Float32, UInt8

from curation.captions import english
from curation.captions.facts import facts_of
from curation.decode import resized
from curation.edits.composing import COLUMNS as COMPOSING_COLUMNS
from curation.edits.composing import Parent, parents_of
from curation.edits.scene_drawing import coloured, cutout, ground_pixels
from models.perception.colour_words import HUES, colour_word, dominant_hue, is_truly, oklab
from models.perception.scene_truth import Ground

COLUMNS: tuple[str, ...] = (*COMPOSING_COLUMNS, "alpha_cover", "image_features")
"""Columns of ``images`` that choosing reads."""

MIN_COVER, MAX_COVER = 0.33, 0.9
"""Share of a picture that is drawn: below, things are thin and vanish when they are small."""
MOST_NAME_WORDS = 2
LOST_DISTANCE = 0.13
"""A pixel of OKLab this near to the ground is not seen on it."""
MAX_LOST_SHARE = 0.35
_MEASURES_PX = (18, 40)
"""Sizes in which a thing is measured: about the smallest and the largest it is drawn in."""
_COUNTERS_ZH: Mapping[str, str] = {"animal": "只", "plant-flower": "朵", "plant-other": "棵"}


class Thing(NamedTuple):
    """A cut-out, and what it can be."""

    parent: Parent
    counter_zh: str
    aspect: float
    """Width by height of what is drawn."""
    colours: tuple[str, ...]
    """Colours it can be given."""
    visible: frozenset[tuple[str, str]]
    """Pairs of a colour, "" for its own, and the name of a ground on which it is seen in it."""

    @property
    def id(self) -> str:
        """Of its picture."""
        return self.parent.picture.id


def candidates(images: pa.Table, names: Sequence[str] | None, *, style: str, num: int) -> list[Parent]:
    """The pictures to cut out, in order of their ids.

    Args:
        images: rows that were kept, with `COLUMNS`.
        names: English names; None for the `num` training pictures that differ most in their features.
        style: of the pictures.

    Raises:
        ValueError: a name is not among the training pictures, or there are too few.
    """
    able = _able(images, style)
    if names is not None:
        missing = sorted(set(names) - {parent.picture.facts.name_en for parent, _ in able})
        if missing:
            listed = ", ".join(sorted(one.picture.facts.name_en for one, _ in able))
            raise ValueError(f"{missing} are no training pictures of style {style!r} to cut out; there are {listed}")
        return [parent for parent, _ in able if parent.picture.facts.name_en in names]
    if len(able) < num:
        raise ValueError(f"{num} things asked for, {len(able)} training pictures of style {style!r} can be cut out; ask for less")
    chosen = _most_distinct(np.stack([features for _, features in able]), num)
    return [able[place][0] for place in sorted(chosen)]


def measured(parent: Parent, encoded: bytes, grounds: Sequence[Ground]) -> Thing:
    """What a picture can be when it is cut out and put on these grounds."""
    rgba = cutout(encoded)
    height, width = rgba.shape[:2]
    longer = max(height, width)
    sized = [resized(rgba, max(1, height * each // longer), max(1, width * each // longer)) for each in _MEASURES_PX]
    looks = {word: [coloured(each, word) for each in sized] for word in ("", *_colours(sized))}
    visible = frozenset(
        (word, ground.name)
        for ground, shades in ((ground, _shades(ground)) for ground in grounds)
        for word, each in looks.items()
        if all(_is_seen(look, shades) for look in each)
    )
    return Thing(parent, _counter_zh(parent.picture.subcategory), width / height, tuple(looks)[1:], visible)


def _able(images: pa.Table, style: str) -> list[tuple[Parent, Float[np.ndarray, " f"]]]:
    """Training pictures with a short name for one thing that can be counted, and their unit features."""
    rows = {row["id"]: row for row in images.select(list(COLUMNS)).to_pylist()}
    found = [
        (parent, _unit(np.asarray(row["image_features"], np.float64)))
        for parent in parents_of(images)
        if _is_able(parent, row := rows[parent.picture.id], style)
    ]
    return list({parent.picture.facts.name_en: (parent, features) for parent, features in found}.values())


def _is_able(parent: Parent, row: Mapping, style: str) -> bool:
    facts = facts_of(row)
    words = facts.name_en.split()
    return (
        parent.picture.split == "train" and facts.style == style and not facts.tone and not facts.colour
        and 0 < len(words) <= MOST_NAME_WORDS and english.is_countable(facts.name_en)
        and row["image_features"] is not None and MIN_COVER <= row["alpha_cover"] <= MAX_COVER
    )  # fmt: skip


def _unit(features: Float[np.ndarray, " f"]) -> Float[np.ndarray, " f"]:
    return features / max(float(np.linalg.norm(features)), 1e-12)


def _most_distinct(features: Float[np.ndarray, "n f"], num: int) -> list[int]:
    """Places of the `num` that are farthest from each other, greedily: each next one is the farthest from all before."""
    chosen = [int(np.argmin(features @ features.mean(0)))]
    nearest = features @ features[chosen[0]]
    while len(chosen) < num:
        chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, features @ features[chosen[-1]])
    return chosen


def _colours(sized: Sequence[UInt8[np.ndarray, "_ _ 4"]]) -> list[str]:
    """Words that are true of it in every size once it is coloured so; not the one for the colour it has."""
    if any(dominant_hue(_drawn(each)) is None for each in sized):
        return []
    others = [word for word in HUES if word != colour_word(_drawn(sized[-1]))]
    return [word for word in others if all(is_truly(word, _drawn(coloured(each, word))) for each in sized)]


def _drawn(rgba: UInt8[np.ndarray, "y x 4"]) -> UInt8[np.ndarray, "n 3"]:
    return rgba[rgba[..., 3] > 127][:, :3]


def _shades(ground: Ground) -> Float32[np.ndarray, "k 3"]:
    """The colours of a ground, a few of a photograph's."""
    lab = oklab(ground_pixels(ground, 16)).reshape(-1, 3)
    return lab[:1] if ground.kind == "plain" else lab[np.argsort(lab[:, 0])][[25, 128, 230]]


def _is_seen(rgba: UInt8[np.ndarray, "y x 4"], shades: Float32[np.ndarray, "k 3"]) -> bool:
    """Whether enough of the drawing stands out, above all its outline."""
    outline = (rgba[..., 3] > 127) & ~_eroded(rgba[..., 3] > 127)
    for pixels in (_drawn(rgba), rgba[outline][:, :3]):
        distance = np.linalg.norm(oklab(pixels)[:, None] - shades[None], axis=-1).min(1)
        if (distance < LOST_DISTANCE).mean() > MAX_LOST_SHARE:
            return False
    return True


def _eroded(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    return padded[1:-1, 1:-1] & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def _counter_zh(subcategory: str) -> str:
    return next((counter for begin, counter in _COUNTERS_ZH.items() if subcategory.startswith(begin)), "个")
