"""Regions of a picture that may be things: what differs from the ground, at several thresholds, as a forest of nested regions.

The ground is estimated from the picture alone: a colour, or a smooth surface where the frame is not of one colour, fitted to the
pixels that agree with the frame. What lies farther from it than a threshold is foreground, and its connected parts are regions.
A higher threshold splits things that blur joined; a lower one, with narrow gaps closed, joins the parts of a thing that is partly
as pale as the ground. Regions of all cuts are kept, and whoever can tell things from halves of things chooses among them.

y, x pixels · p pixels of the frame · k terms
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from models.perception.colour_words import oklab

CUTS = ((0.07, 2), (0.07, 1), (0.11, 1), (0.16, 1), (0.23, 0))
"""Distances in OKLab (black and white are 1 apart) and half the gap that is closed, in pixels; each within the one before."""
WORK_PX = 96
"""Pictures are looked at in this size."""
MIN_SIDE_SHARE = 0.10
"""Smaller regions are no things."""
_FRAME_PX = 3
_PLAIN_DEVIATION = 0.035
_ROUNDS = 6


class Region(NamedTuple):
    """A connected part of what differs from the ground."""

    box: tuple[int, int, int, int]
    """Left, top, right, bottom in pixels of `WORK_PX`; right and bottom exclusive."""
    mask: Bool[np.ndarray, "_ _"]
    """Its pixels within the box."""
    parent: int
    """Place of the region of the cut before that holds it; -1 for none."""


class Regions(NamedTuple):
    """A picture taken apart."""

    lab: Float32[np.ndarray, "s s 3"]
    """The picture in OKLab, in `WORK_PX`."""
    distance: Float32[np.ndarray, "s s"]
    """To the ground."""
    ground: Float32[np.ndarray, " 9"]
    """What the ground looks like: mean, deviation and slope of its colour, see `_described`."""
    regions: list[Region]
    """Those of earlier cuts, which are larger, first."""


def regions_of(picture: UInt8[np.ndarray, "y x 3"]) -> Regions:
    """The picture's regions and its ground."""
    sized = cv2.resize(picture, (WORK_PX, WORK_PX), interpolation=cv2.INTER_AREA if len(picture) > WORK_PX else cv2.INTER_CUBIC)
    lab = oklab(np.asarray(sized, np.uint8))
    surface, is_ground = _ground(lab)
    distance = np.linalg.norm(lab - surface, axis=-1).astype(np.float32)
    return Regions(lab, distance, _described(lab, is_ground), _nested(distance))


def _ground(lab: Float32[np.ndarray, "y x 3"]) -> tuple[Float32[np.ndarray, "y x 3"], Bool[np.ndarray, "y x"]]:
    """The surface of the ground, and which pixels it was fitted to in the end."""
    frame = np.ones(lab.shape[:2], bool)
    frame[_FRAME_PX:-_FRAME_PX, _FRAME_PX:-_FRAME_PX] = False
    median = np.median(lab[frame], axis=0)
    spread = np.median(np.linalg.norm(lab[frame] - median, axis=-1))
    if spread < _PLAIN_DEVIATION:
        near = np.linalg.norm(lab - median, axis=-1) < CUTS[0][0]
        return np.broadcast_to(median.astype(np.float32), lab.shape), near
    return _smooth_ground(lab, frame)


def _smooth_ground(
    lab: Float32[np.ndarray, "y x 3"], frame: Bool[np.ndarray, "y x"]
) -> tuple[Float32[np.ndarray, "y x 3"], Bool[np.ndarray, "y x"]]:
    """A cubic surface fitted to pixels that agree with it, begun from the frame."""
    terms = _terms(lab.shape[0])
    weights, surface, distance = np.where(frame, 1.0, 0.15), lab, np.zeros(lab.shape[:2], np.float32)
    for _ in range(_ROUNDS):
        root = np.sqrt(weights).reshape(-1, 1)
        solution = np.linalg.lstsq(root * terms, root * lab.reshape(-1, 3), rcond=None)[0]
        surface = (terms @ solution).reshape(lab.shape).astype(np.float32)
        distance = np.sqrt(((lab - surface) ** 2).sum(-1))
        weights = 1.0 / (1.0 + (distance / 0.05) ** 4)
    return surface, np.less(distance, CUTS[2][0])


def _terms(side: int) -> Float32[np.ndarray, "n k"]:
    """Powers of x and y up to the third."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    return np.stack([x**a * y**b for a in range(4) for b in range(4 - a)], -1).reshape(side * side, -1)


def _described(lab: Float32[np.ndarray, "y x 3"], is_ground: Bool[np.ndarray, "y x"]) -> Float32[np.ndarray, " 9"]:
    """Mean colour, its deviation over coarse cells, and the finer deviation inside them."""
    if not is_ground.any():
        is_ground = np.ones_like(is_ground)
    pixels = lab[is_ground]
    coarse = cv2.blur(lab, (15, 15))
    fine = (lab - cv2.blur(lab, (5, 5)))[is_ground]
    return np.concatenate([np.median(pixels, 0), coarse[is_ground].std(0), fine.std(0)]).astype(np.float32)


def _nested(distance: Float32[np.ndarray, "y x"]) -> list[Region]:
    found: list[Region] = []
    labels_below, places_below = None, {}
    for threshold, join_px in CUTS:
        kernel = np.ones((2 * join_px + 1, 2 * join_px + 1), np.uint8)
        joined = cv2.morphologyEx((distance > threshold).astype(np.uint8), cv2.MORPH_CLOSE, kernel)
        num, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
        places: dict[int, int] = {}
        for label in range(1, num):
            left, top, width, height, _ = (int(each) for each in stats[label])
            if max(width, height) < MIN_SIDE_SHARE * WORK_PX:
                continue
            own = labels[top : top + height, left : left + width] == label
            parent = -1
            if labels_below is not None:
                under = labels_below[top : top + height, left : left + width][own]
                parent = places_below.get(int(np.bincount(under).argmax()), -1)
            places[label] = len(found)
            found.append(Region((left, top, left + width, top + height), own, parent))
        labels_below, places_below = labels, places
    return found
