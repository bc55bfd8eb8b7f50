import json
import math

import numpy as np
import pytest

from curation.knowledge.degradations import FLAWS, degraded
from curation.knowledge.draws import draws
from curation.knowledge.kinds import KINDS, draw
from curation.knowledge.quality import NUM_MEASURES, WEIGHTS, KeepRates, difficulty_of, is_kept, measured, rate, strain_of
from curation.knowledge.quality_training import Examples, fitted, scores
from curation.knowledge.sample import Load

LOAD = Load(num_elements=3, num_characters=40, symbol_density=1.0, smallest_text_px=18, width_px=512, height_px=512)


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [draw(kind, 909, index).pixels for kind in KINDS for index in range(4)]


def test_most_good_pictures_are_called_good(pictures):
    assert np.mean([rate(pixels).low_quality < 0.5 for pixels in pictures]) >= 0.9


@pytest.mark.parametrize("flaw", FLAWS)
def test_most_flawed_pictures_are_called_worthless(pictures, flaw):
    flawed = [degraded(pixels, flaw, draws("flaw", 1, place)) for place, pixels in enumerate(pictures)]
    assert np.mean([rate(pixels).low_quality > 0.5 for pixels in flawed]) >= 0.8


def test_a_flaw_is_the_same_for_the_same_key(pictures):
    for flaw in FLAWS:
        assert np.array_equal(degraded(pictures[0], flaw, draws("f", 1, 2)), degraded(pictures[0], flaw, draws("f", 1, 2)))


def test_more_or_smaller_text_is_harder():
    assert difficulty_of(strain_of(LOAD)) == "easy"
    assert strain_of(LOAD) == pytest.approx(0)
    assert difficulty_of(strain_of(LOAD._replace(num_characters=60))) == "medium"
    assert difficulty_of(strain_of(LOAD._replace(num_characters=131))) == "hard"
    assert difficulty_of(strain_of(LOAD._replace(smallest_text_px=11))) == "hard"
    assert strain_of(LOAD._replace(smallest_text_px=0, num_characters=0)) < -1


def test_measures_are_finite_for_pictures_of_one_colour_and_of_few_pixels():
    for shape in ((64, 64, 3), (9, 200, 3), (33, 17, 3)):
        measures = measured(np.full(shape, 255, dtype=np.uint8))
        assert measures.shape == (NUM_MEASURES,)
        assert np.isfinite(measures).all()


def test_keep_rates_hold_over_many_rows_and_are_keyed_by_row():
    rates = KeepRates(hard=0.3)
    kept = [is_kept(f"row/{number}", "hard", rates) for number in range(4000)]
    assert np.mean(kept) == pytest.approx(0.3, abs=3 * math.sqrt(0.3 * 0.7 / 4000))
    assert kept == [is_kept(f"row/{number}", "hard", rates) for number in range(4000)]
    assert all(is_kept(f"row/{number}", "easy", rates) for number in range(100))


def test_training_learns_what_separates_the_classes():
    rng = np.random.default_rng(0)
    good, bad = rng.normal(0, 1, (200, 27)).astype(np.float32), rng.normal(0, 1, (200, 27)).astype(np.float32)
    bad[:, 3] += 5
    examples = Examples(good, bad, (good[:, 0] * 1.5).clip(-2, 3))
    tensors = fitted([examples])
    found = scores("x", tensors, [examples])
    assert found["quality_accuracy_x"] > 0.97
    assert found["difficulty_accuracy_x"] > 0.9
    again = fitted([examples])
    assert all(np.array_equal(tensors[name], again[name]) for name in tensors)


def test_the_committed_evidence_belongs_to_good_networks():
    evidence = json.loads(WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))
    assert evidence["quality_accuracy_new_pictures"] > 0.95
    assert evidence["quality_accuracy_unseen_generators"] > 0.88
    assert evidence["difficulty_accuracy_new_pictures"] > 0.7
