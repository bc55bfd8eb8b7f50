import numpy as np
import pytest

from eval.metrics.scenes import Before, is_untouched
from models.perception.scene_truth import Box, Ground, PlacedThing, SceneTruth

BLUE = Ground(kind="plain", name="blue", rgb=(40, 90, 220))


def thing(name: str, box: Box, *, colour: str = "") -> PlacedThing:
    return PlacedThing(thing=name, name_en=name, name_zh="", counter_zh="个", colour=colour, box=box)


def drawn(truth: SceneTruth) -> np.ndarray:
    """Blocks on the ground: enough for what looks at pixels alone."""
    pixels = np.broadcast_to(np.asarray(truth.ground.rgb, np.uint8), (64, 64, 3)).copy()
    for each in truth.things:
        left, top, right, bottom = each.box
        pixels[top:bottom, left:right] = (240, 60, 40) if each.colour != "yellow" else (240, 220, 40)
    return pixels


def scene(*things: PlacedThing) -> SceneTruth:
    return SceneTruth(size_px=64, ground=BLUE, things=things)


PEAR, APPLE = thing("pear", (4, 4, 20, 20)), thing("apple", (40, 40, 58, 58))
BEFORE = Before(drawn(scene(PEAR, APPLE)), scene(PEAR, APPLE))
RECOLOURED = scene(PEAR, APPLE.model_copy(update={"colour": "yellow"}))


def test_a_perfect_edit_touches_nothing_else() -> None:
    assert is_untouched(drawn(RECOLOURED), RECOLOURED, BEFORE)
    for after in (scene(PEAR), scene(PEAR, APPLE, thing("egg", (40, 4, 56, 20)))):
        assert is_untouched(drawn(after), after, BEFORE)


def test_what_an_edit_does_inside_its_boxes_is_not_asked_here() -> None:
    pixels = drawn(RECOLOURED)
    pixels[40:58, 40:58] = 0
    assert is_untouched(pixels, RECOLOURED, BEFORE)


def test_another_ground_or_a_lost_thing_is_noticed() -> None:
    reground = drawn(RECOLOURED).astype(int)
    reground[(reground == BLUE.rgb).all(-1)] = (200, 90, 220)
    assert not is_untouched(reground.astype(np.uint8), RECOLOURED, BEFORE)
    assert not is_untouched(drawn(scene(RECOLOURED.things[1])), RECOLOURED, BEFORE)
    moved = scene(thing("pear", (4, 40, 20, 56)), RECOLOURED.things[1])
    assert not is_untouched(drawn(moved), RECOLOURED, BEFORE)


@pytest.mark.parametrize(("sigma", "expected"), [(4, True), (8, True), (60, False)])
def test_small_errors_everywhere_are_an_autoencoders(sigma: float, expected: bool) -> None:
    noise = np.random.default_rng(0).normal(0, sigma, (64, 64, 3))
    pixels = np.clip(drawn(RECOLOURED) + noise, 0, 255).astype(np.uint8)
    assert is_untouched(pixels, RECOLOURED, BEFORE) is expected


def test_a_larger_picture_is_judged_alike() -> None:
    larger = drawn(RECOLOURED).repeat(2, 0).repeat(2, 1)
    before = Before(BEFORE.picture.repeat(2, 0).repeat(2, 1), BEFORE.truth)
    assert is_untouched(larger, RECOLOURED, before)
    larger[:60, :60] = larger[:60, :60][:, ::-1]
    assert not is_untouched(larger, RECOLOURED, before)


def test_a_place_that_is_stated_afterwards_moves_nothing() -> None:
    stated = scene(PEAR.model_copy(update={"place": "top left"}), RECOLOURED.things[1])
    assert is_untouched(drawn(stated), stated, BEFORE)
