"""Which facts of a composed scene a picture shows, found without being told where to look.

Regions that differ from the ground (`scene_regions`) are classified by a head that is fitted, in closed form, on pictures whose
truth is known: it tells every thing of the vocabulary from the others and all of them from halves of things, things that touch
and spots of a photograph. Among nested regions those stay that look most like whole things. What was found (things with boxes
and colours, the ground) is then held against what was stated.

n regions · f features · d hidden · c classes
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from models.perception.colour_words import colour_word, srgb
from models.perception.scene_regions import WORK_PX, Region, Regions, regions_of
from models.perception.scene_truth import (
    LARGE_ABOVE,
    SMALL_BELOW,
    PlacedThing,
    SceneTruth,
    centre_of,
    groups_of,
    place_at,
)

FactKind = Literal["present", "count", "nothing else", "colour", "place", "size", "relation", "ground"]

CROP_PX = 20
"""Regions are classified in this size."""
_HIDDEN = 1536
_RIDGE = 0.3
_MATCHES, _MISSES = 0.65, 0.45
"""Overlap with a true box from which a region is that thing, and below which it is none."""
_FULL_DISTANCE = 0.2
_LEAST_LIKENESS = 0.35
"""Of a region that is taken for a thing; whole clear things have about 1."""
_WHOLE_BONUS = 0.15
"""A region may be less like a thing by this than what is inside it and still be preferred: most of a thing is like it, too."""


class Fact(NamedTuple):
    """Something a scene states, and whether the picture shows it."""

    kind: FactKind
    about: str
    """In words, for people."""
    holds: bool


class Found(NamedTuple):
    """A thing that was seen."""

    thing: str
    """Id, one of the vocabulary."""
    colour: str
    """Word of most of its colour, "" for none."""
    box: tuple[int, int, int, int]
    """In pixels of `WORK_PX`."""
    likeness: float
    """How sure the head is, about 1 for a whole clear thing."""


class Seen(NamedTuple):
    """All that was seen in a picture."""

    things: list[Found]
    ground: str


class SceneChecker:
    """Looks for the things of one corpus; made by `fit`."""

    def __init__(
        self, vocabulary: Sequence[str], head: "_Head", grounds: Mapping[str, Float32[np.ndarray, "_ 9"]]
    ) -> None:
        self.vocabulary = tuple(vocabulary)
        self._head, self._grounds = head, grounds
        self._scale = np.concatenate(list(grounds.values())).std(0) + np.float32(1e-3)

    @classmethod
    def fit(cls, examples: Iterable[tuple[UInt8[np.ndarray, "_ _ 3"], SceneTruth]]) -> "SceneChecker":
        """A checker for the things and grounds of these pictures; the same pictures in the same order give the same checker.

        Args:
            examples: pictures with their truth, some hundreds of each level; each is also seen blurred.

        Raises:
            ValueError: there are no examples.
        """
        labelled: list[tuple[Float32[np.ndarray, " f"], str]] = []
        grounds: dict[str, list[Float32[np.ndarray, " 9"]]] = {}
        for picture, truth in examples:
            for view in (picture, _blurred(picture)):
                seen = regions_of(view)
                grounds.setdefault(truth.ground.name, []).append(seen.ground)
                labelled += [(_features(seen, region), label) for region, label in _labelled(seen, truth)]
        if not labelled:
            raise ValueError("no regions to fit a checker on; give it pictures of composed scenes with their truth")
        vocabulary = sorted({label for _, label in labelled} - {""})
        place = {label: number for number, label in enumerate(("", *vocabulary))}
        labels = np.array([place[label] for _, label in labelled])
        head = _Head.fit(np.stack([each for each, _ in labelled]), labels, num_classes=len(place))
        return cls(vocabulary, head, {name: np.stack(each) for name, each in grounds.items()})

    def look(self, picture: UInt8[np.ndarray, "y x 3"]) -> Seen:
        """What the picture shows; nothing of any truth goes in."""
        seen = regions_of(picture)
        if not seen.regions:
            return Seen([], self._ground_of(seen))
        scores = self._head(np.stack([_features(seen, region) for region in seen.regions]))
        best = scores[:, 1:].argmax(1)
        values = scores[np.arange(len(scores)), best + 1] - np.maximum(scores[:, 0], 0.0)
        things = []
        for place in _chosen(seen.regions, values):
            region = seen.regions[place]
            things.append(Found(self.vocabulary[best[place]], _colour_of(seen, region), region.box, float(values[place])))
        return Seen(things, self._ground_of(seen))

    def check(self, picture: UInt8[np.ndarray, "y x 3"], truth: SceneTruth) -> list[Fact]:
        """Every fact the scene states, and whether the picture shows it."""
        return facts_held(self.look(picture), truth)

    def passes(self, picture: UInt8[np.ndarray, "y x 3"], truth: SceneTruth) -> bool:
        """Whether all facts hold."""
        return all(fact.holds for fact in self.check(picture, truth))

    def _ground_of(self, seen: Regions) -> str:
        """The ground of the nearest example."""
        away = {name: float((((each - seen.ground) / self._scale) ** 2).sum(1).min()) for name, each in self._grounds.items()}
        return min(away, key=lambda name: (away[name], name))


def facts_held(seen: Seen, truth: SceneTruth) -> list[Fact]:
    """Every fact the scene states, held against what was seen."""
    facts = [Fact("ground", truth.ground.name, seen.ground == truth.ground.name)]
    facts.append(Fact("nothing else", f"{len(truth.things)} in all", len(seen.things) == len(truth.things)))
    for thing in dict.fromkeys(each.thing for each in truth.things):
        stated = [each for each in truth.things if each.thing == thing]
        found = [each for each in seen.things if each.thing == thing]
        facts.append(Fact("present", stated[0].name_en, bool(found)))
        facts.append(Fact("count", f"{len(stated)} {stated[0].name_en}", len(found) == len(stated)))
    for group in groups_of(truth.things):
        facts += _facts_of_group(seen, group)
    if truth.relation:
        facts.append(_relation(seen, truth))
    return facts


def _facts_of_group(seen: Seen, group: Sequence[PlacedThing]) -> list[Fact]:
    first = group[0]
    found = [each for each in seen.things if each.thing == first.thing]
    facts = []
    if first.place:
        found = [each for each in found if place_at(*centre_of(each.box, WORK_PX)) == first.place]
        facts.append(Fact("place", f"{first.name_en} {first.place}", bool(found)))
    if first.colour:
        right = [each for each in found if each.colour == first.colour]
        facts.append(Fact("colour", f"{first.colour} {first.name_en}", len(right) >= len(group)))
    if first.size:
        facts.append(Fact("size", f"{first.size} {first.name_en}", any(_size_of(each) == first.size for each in found)))
    return facts


def _size_of(found: Found) -> str:
    longer = max(found.box[2] - found.box[0], found.box[3] - found.box[1]) / WORK_PX
    return "small" if longer < SMALL_BELOW else "large" if longer > LARGE_ABOVE else ""


def _relation(seen: Seen, truth: SceneTruth) -> Fact:
    first, second = truth.things
    axis = 0 if truth.relation == "left of" else 1
    holds = any(
        centre_of(one.box, WORK_PX)[axis] < centre_of(other.box, WORK_PX)[axis]
        and abs(centre_of(one.box, WORK_PX)[1 - axis] - centre_of(other.box, WORK_PX)[1 - axis]) < 0.25
        for one in seen.things
        for other in seen.things
        if one.thing == first.thing and other.thing == second.thing
    )
    return Fact("relation", f"{first.name_en} {truth.relation} {second.name_en}", holds)


class _Head:
    """Ridge regression on random cosine features (Rahimi & Recht 2007) to one-hot classes, the first of which is "no thing"."""

    def __init__(
        self, mean: Float32[np.ndarray, " f"], projection: Float32[np.ndarray, "f d"], phase: Float32[np.ndarray, " d"],
        weights: Float32[np.ndarray, "d1 c"],
    ) -> None:  # fmt: skip
        self._mean, self._projection, self._phase, self._weights = mean, projection, phase, weights

    @classmethod
    def fit(cls, features: Float32[np.ndarray, "n f"], labels: Int64[np.ndarray, " n"], *, num_classes: int) -> "_Head":
        """Classes weigh the same however often they were seen."""
        mean = features.mean(0)
        centred = features - mean
        draws = np.random.Generator(np.random.PCG64(0))
        width = float(np.sqrt((centred**2).sum(1).mean()))
        projection = (draws.standard_normal((features.shape[1], _HIDDEN)) / (0.7 * width)).astype(np.float32)
        phase = draws.uniform(0, 2 * np.pi, _HIDDEN).astype(np.float32)
        hidden = _hidden(centred, projection, phase)
        counts = np.bincount(labels, minlength=num_classes).clip(1)
        weighed = hidden * (len(labels) / num_classes / counts[labels]).astype(np.float32)[:, None]
        gram = (weighed.T @ hidden).astype(np.float64) + _RIDGE * np.eye(hidden.shape[1])
        targets = (weighed.T @ np.eye(num_classes, dtype=np.float32)[labels]).astype(np.float64)
        return cls(mean, projection, phase, np.linalg.solve(gram, targets).astype(np.float32))

    def __call__(self, features: Float32[np.ndarray, "n f"]) -> Float32[np.ndarray, "n c"]:
        return _hidden(features - self._mean, self._projection, self._phase) @ self._weights


def _hidden(
    centred: Float32[np.ndarray, "n f"], projection: Float32[np.ndarray, "f d"], phase: Float32[np.ndarray, " d"]
) -> Float32[np.ndarray, "n d1"]:
    """Cosines along random directions, and a constant."""
    cosines = np.cos(centred @ projection + phase) * np.float32(np.sqrt(2 / len(phase)) * 10)
    return np.concatenate([cosines, np.ones((len(centred), 1), np.float32)], 1)


def _labelled(seen: Regions, truth: SceneTruth) -> list[tuple[Region, str]]:
    """Regions with the thing that they are, "" for none; those between are left out."""
    scale = WORK_PX / truth.size_px
    boxes = [tuple(each * scale for each in thing.box) for thing in truth.things]
    found = []
    for region in seen.regions:
        overlaps = [_overlap(region.box, box) for box in boxes]
        best = int(np.argmax(overlaps))
        if overlaps[best] >= _MATCHES:
            found.append((region, truth.things[best].thing))
        elif overlaps[best] < _MISSES:
            found.append((region, ""))
    return found


def _overlap(first: Sequence[int | float], second: Sequence[int | float]) -> float:
    """Intersection over union."""
    sides = [min(first[axis + 2], second[axis + 2]) - max(first[axis], second[axis]) for axis in (0, 1)]
    shared = max(0.0, sides[0]) * max(0.0, sides[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / (sum(areas) - shared)


def _features(seen: Regions, region: Region) -> Float32[np.ndarray, " f"]:
    """Outline and inner drawing of a region in a square of `CROP_PX`, whatever its colour and its ground; its proportions."""
    left, top, right, bottom = region.box
    distance = np.minimum(seen.distance[top:bottom, left:right] / _FULL_DISTANCE, 1) * region.mask
    luma = seen.lab[top:bottom, left:right, 0]
    inner = np.where(region.mask, luma - np.median(luma[region.mask]), 0).astype(np.float32)
    outline, drawing = (_squared(each.astype(np.float32)) for each in (distance, inner))
    aspect = np.log((right - left) / (bottom - top))
    shape = np.array([3 * aspect], np.float32)
    return np.concatenate([outline.ravel(), 3 * drawing.ravel(), shape])


def _squared(values: Float32[np.ndarray, "y x"]) -> Float32[np.ndarray, "q q"]:
    """Centred in a square and resized."""
    height, width = values.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    padded = np.pad(values, ((top, side - height - top), (left, side - width - left)))
    small = cv2.resize(padded, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA if side > CROP_PX else cv2.INTER_LINEAR)
    return np.asarray(small, np.float32)


def _chosen(regions: Sequence[Region], values: Float32[np.ndarray, " n"]) -> list[int]:
    """Of nested regions the ones with the largest sum of likeness, none inside another; regions of no likeness are left out."""
    children: list[list[int]] = [[] for _ in regions]
    for place, region in enumerate(regions):
        if region.parent >= 0:
            children[region.parent].append(place)
    best: list[tuple[float, list[int]]] = [(0.0, [])] * len(regions)
    for place in range(len(regions) - 1, -1, -1):                # a region comes after the one that holds it
        inside = sum(best[child][0] for child in children[place])
        own = max(0.0, float(values[place]))
        within = [each for child in children[place] for each in best[child][1]]
        best[place] = (own, [place]) if own > max(inside - _WHOLE_BONUS, _LEAST_LIKENESS) else (inside, within)
    return [each for place, region in enumerate(regions) if region.parent < 0 for each in best[place][1]]


def _colour_of(seen: Regions, region: Region) -> str:
    """The word of the region's inner pixels, whose colour no neighbour has bled into."""
    left, top, right, bottom = region.box
    inner = cv2.erode(np.pad(region.mask.astype(np.uint8), 1), np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
    mask = inner if inner.mean() > 0.2 else region.mask
    return colour_word(srgb(seen.lab[top:bottom, left:right][mask]))


def _blurred(picture: UInt8[np.ndarray, "y x 3"]) -> UInt8[np.ndarray, "y x 3"]:
    """As a compressor would leave it."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.012 * len(picture)), np.uint8)
