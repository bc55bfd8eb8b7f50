import numpy as np

from eval.metrics.retrieval import gallery, hits_at, ranks


def test_equal_captions_are_one_place_in_the_gallery() -> None:
    found = gallery(["an apple", "a bear", "an apple"])
    assert found.captions == ("an apple", "a bear")
    assert found.truth.tolist() == [0, 1, 0]


def test_rank_counts_the_captions_that_fit_better() -> None:
    captions = np.eye(3)
    pictures = np.array([[0.9, 0.1, 0.0], [0.5, 0.4, 0.1], [0.3, 0.5, 0.2]])
    ranked = ranks(pictures, captions, np.array([0, 1, 2]))
    assert ranked.tolist() == [0, 1, 2]
    assert [hits_at(ranked, k) for k in (1, 2, 3)] == [1, 2, 3]


def test_a_head_that_cannot_tell_captions_apart_finds_nothing() -> None:
    ranked = ranks(np.ones((4, 2)), np.ones((10, 2)), np.arange(4))
    assert hits_at(ranked, 1) == 0
