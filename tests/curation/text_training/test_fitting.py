import numpy as np
import pytest

from curation.signals.text_quality import Fitting, load
from curation.text_training.fitting import fitted, known_words


def test_the_dictionary_is_sorted_and_stored_with_the_weights() -> None:
    words = known_words()
    assert len(words) > 20_000
    assert (np.diff(words.astype(object)) > 0).all()
    assert np.array_equal(load().known, words)


def test_a_fit_on_few_texts_is_repeatable_and_beats_chance_by_far() -> None:
    quick = Fitting(ngram_penalty=1e-5, dense_penalty=1e-4, max_iterations=30)
    first, report = fitted(scale=0.03, fitting=quick)
    again, _ = fitted(scale=0.03, fitting=quick)
    assert np.array_equal(first.ngram_weights, again.ngram_weights)
    assert report["all"]["accuracy"] > 0.8


@pytest.mark.slow
def test_the_stored_weights_are_what_the_fit_gives() -> None:
    again, report = fitted()
    stored = load()
    assert report["all"]["accuracy"] > 0.95
    assert np.corrcoef(again.ngram_weights.ravel(), stored.ngram_weights.ravel())[0, 1] > 0.99
