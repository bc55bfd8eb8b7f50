"""Does a picture show the scene it was asked for, and did an edit leave alone what it should?

A scene passes when every stated fact holds (`models.perception.scene_checker`). An edited scene has to pass and to have kept the
rest: the ground outside the boxes that the edit touches, and every thing that it does not touch, compared with the reference.

y, x pixels
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from models.perception.scene_checker import SceneChecker
from models.perception.scene_truth import PlacedThing, SceneTruth

MAX_GROUND_ERROR = 0.06
"""Mean absolute error of the untouched ground, pixels in [0, 1]."""
MAX_THING_ERROR = 0.16
"""The same inside the box of an untouched thing, whose edges an autoencoder blurs; a thing that is gone gives about 0.3."""
_MARGIN_SHARE = 0.03
"""What an edit touches reaches this far beyond its boxes, as a share of the picture's side."""


class Before(NamedTuple):
    """What an edit began with."""

    picture: UInt8[np.ndarray, "y x 3"]
    truth: SceneTruth


class Judged(NamedTuple):
    """What was found about one picture."""

    passes: bool
    num_held: int
    """Facts that hold, of `num_facts`."""
    num_facts: int
    failed: tuple[str, ...]
    """Those that do not, in words; "untouched" where an edit changed more than it should."""


def judged(
    checker: SceneChecker, picture: UInt8[np.ndarray, "y x 3"], truth: SceneTruth, *, before: Before | None = None
) -> Judged:
    """Whether the picture is the scene.

    Args:
        checker: fitted on scenes of the same corpus.
        picture: at any size; a square.
        truth: what was asked for.
        before: for an edit, its reference, of the picture's size.
    """
    facts = checker.check(picture, truth)
    failed = [f"{fact.kind}: {fact.about}" for fact in facts if not fact.holds]
    num_held = len(facts) - len(failed)
    if before is not None and not is_untouched(picture, truth, before):
        failed.append("untouched")
    return Judged(not failed, num_held, len(facts), tuple(failed))


def is_untouched(picture: UInt8[np.ndarray, "y x 3"], truth: SceneTruth, before: Before) -> bool:
    """Whether an edit from `before` to `truth` left the ground and the other things as they were."""
    error = np.abs(picture.astype(np.float32) - before.picture.astype(np.float32)).mean(-1) / 255
    looks_before, looks_after = ({_look(each) for each in each_truth.things} for each_truth in (before.truth, truth))
    kept = [each for each in truth.things if _look(each) in looks_before]
    touched = [each for each in (*before.truth.things, *truth.things) if _look(each) not in looks_before & looks_after]
    is_ground = ~_covered([*kept, *touched], len(picture), truth.size_px, margin=_MARGIN_SHARE)
    if is_ground.any() and error[is_ground].mean() > MAX_GROUND_ERROR:
        return False
    return all(_error_in(error, each, truth.size_px) <= MAX_THING_ERROR for each in kept)


def _look(thing: PlacedThing) -> tuple[object, ...]:
    """What decides its pixels; a place that is stated of one scene and not of the other does not."""
    return thing.thing, thing.colour, thing.box


def _covered(things: Sequence[PlacedThing], side_px: int, size_px: int, *, margin: float) -> Bool[np.ndarray, "y x"]:
    mask = np.zeros((side_px, side_px), bool)
    for each in things:
        left, top, right, bottom = (edge / size_px for edge in each.box)
        rows, columns = (
            slice(max(0, int((low - margin) * side_px)), int(np.ceil((high + margin) * side_px)))
            for low, high in ((top, bottom), (left, right))
        )
        mask[rows, columns] = True
    return mask


def _error_in(error: Float32[np.ndarray, "y x"], thing: PlacedThing, size_px: int) -> float:
    return float(error[_covered([thing], len(error), size_px, margin=0.0)].mean())
