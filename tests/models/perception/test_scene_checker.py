"""The checker sees what true scenes show, and says what is wrong with others; it is shown pictures alone."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from tiny_scenes import CONFIG, Corpus, corpus

from curation.edits.scene_drawing import ground_pixels
from curation.edits.scene_layouts import Draw
from curation.edits.scenes import grounds_of
from models.perception.colour_words import HUES
from models.perception.scene_checker import SceneChecker, facts_held
from models.perception.scene_truth import PLACES, Level, SceneTruth

Change = Callable[[SceneTruth, Corpus, Draw], SceneTruth | None]
TESTED = 40
"""Scenes of each level."""


@pytest.fixture(scope="module")
def food() -> Corpus:
    return corpus()


def told(food: Corpus, level: Level) -> list[SceneTruth]:
    return [scene.truth for scene in food.planned.scenes if scene.truth.level == level]


@pytest.fixture(scope="module")
def checker(food: Corpus) -> SceneChecker:
    truths = [truth for level in ("easy", "medium", "hard") for truth in told(food, level)[TESTED:][:80]]
    return SceneChecker.fit([(food.draw(truth), truth) for truth in truths])


@pytest.mark.parametrize(("level", "least"), [("easy", 0.97), ("medium", 0.95), ("hard", 0.9)])
def test_true_scenes_are_confirmed(checker: SceneChecker, food: Corpus, level: Level, least: float) -> None:
    facts = [fact for truth in told(food, level)[:TESTED] for fact in checker.check(food.draw(truth), truth)]
    assert len(facts) > 3 * TESTED
    assert np.mean([fact.holds for fact in facts]) >= least, [fact for fact in facts if not fact.holds]


@pytest.mark.parametrize("sigma", [0.6, 1.0])
def test_blur_and_another_size_change_little(checker: SceneChecker, food: Corpus, sigma: float) -> None:
    def degraded(picture: np.ndarray) -> np.ndarray:
        return cv2.resize(cv2.GaussianBlur(picture, (0, 0), sigma), (128, 128), interpolation=cv2.INTER_CUBIC)

    passes = [checker.passes(degraded(food.draw(truth)), truth) for truth in told(food, "easy")[:TESTED]]
    assert np.mean(passes) >= 0.9


def swapped(truth: SceneTruth, food: Corpus, draw: Draw) -> SceneTruth:
    """Another thing where one was stated."""
    others = [thing for thing in food.things if thing.id not in {each.thing for each in truth.things}]
    return _changed(truth, 0, thing=draw.pick(others, "thing").id)


def miscounted(truth: SceneTruth, food: Corpus, draw: Draw) -> SceneTruth:
    things = (*truth.things, truth.things[0]) if draw.unit("more") < 0.5 or len(truth.things) == 1 else truth.things[:-1]
    return truth.model_copy(update={"things": things, "relation": ""})


def misplaced(truth: SceneTruth, food: Corpus, draw: Draw) -> SceneTruth | None:
    place = truth.things[0].place
    return _changed(truth, 0, place=draw.pick([each for each in PLACES if each != place], "place")) if place else None


def discoloured(truth: SceneTruth, food: Corpus, draw: Draw) -> SceneTruth | None:
    colour = truth.things[0].colour
    return _changed(truth, 0, colour=draw.pick([each for each in HUES if each != colour], "colour")) if colour else None


def resized(truth: SceneTruth, food: Corpus, draw: Draw) -> SceneTruth | None:
    size = truth.things[0].size
    return _changed(truth, 0, size="large" if size == "small" else "small") if size else None


def regrounded(truth: SceneTruth, food: Corpus, draw: Draw) -> SceneTruth:
    others = [ground for ground in grounds_of(CONFIG) if ground.name != truth.ground.name]
    return truth.model_copy(update={"ground": draw.pick(others, "ground")})


def turned_round(truth: SceneTruth, food: Corpus, draw: Draw) -> SceneTruth | None:
    return truth.model_copy(update={"things": truth.things[::-1]}) if truth.relation else None


def _changed(truth: SceneTruth, number: int, **changes: object) -> SceneTruth:
    things = [each.model_copy(update=changes) if place == number else each for place, each in enumerate(truth.things)]
    return truth.model_copy(update={"things": tuple(things)})


@pytest.mark.parametrize("change", [swapped, miscounted, misplaced, discoloured, resized, regrounded, turned_round])
def test_a_scene_with_one_wrong_fact_is_found_out(checker: SceneChecker, food: Corpus, change: Change) -> None:
    caught = []
    for number, truth in enumerate([*told(food, "easy")[:TESTED], *told(food, "medium")[:TESTED]]):
        wrong = change(truth, food, Draw(("wrong", number)))
        if wrong is not None:
            caught.append(not all(fact.holds for fact in facts_held(checker.look(food.draw(truth)), wrong)))
    assert len(caught) >= 4
    assert np.mean(caught) >= 0.95


def test_an_empty_ground_shows_nothing(checker: SceneChecker) -> None:
    for ground in grounds_of(CONFIG):
        seen = checker.look(ground_pixels(ground, 64))
        assert len(seen.things) <= (1 if ground.kind == "photo" else 0)
        assert ground.kind == "photo" or seen.ground == ground.name


def test_noise_is_no_scene(checker: SceneChecker, food: Corpus) -> None:
    seen = checker.look(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    assert not any(all(fact.holds for fact in facts_held(seen, truth)) for truth in told(food, "easy"))


def test_the_same_examples_give_the_same_checker(food: Corpus) -> None:
    examples = [(food.draw(truth), truth) for truth in told(food, "easy")[:30]]
    first, second = (SceneChecker.fit(examples).look(examples[0][0]) for _ in range(2))
    assert first == second


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="no regions to fit"):
        SceneChecker.fit([])
