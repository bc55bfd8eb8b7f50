import numpy as np
import pytest

from eval.metrics.frechet import frechet_distance


def test_of_one_dimensional_sets_is_the_textbook_formula() -> None:
    first, second = np.random.default_rng(0).normal(size=(50, 1)), np.random.default_rng(1).normal(3.0, 2.0, size=(80, 1))
    expected = (first.mean() - second.mean()) ** 2 + (first.std(ddof=1) - second.std(ddof=1)) ** 2
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)


def test_of_diagonal_covariances_adds_up_over_the_axes() -> None:
    corners = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])      # variance 4/3 on both axes, uncorrelated
    wide = corners * [3.0, 0.5] + [2.0, 0.0]
    deviation = np.sqrt(4 / 3)
    assert frechet_distance(corners, wide) == pytest.approx(4.0 + (2 * deviation) ** 2 + (0.5 * deviation) ** 2)


def test_a_set_is_at_no_distance_from_itself_in_any_order_and_any_basis() -> None:
    generator = np.random.default_rng(2)
    features = generator.normal(size=(20, 64)).astype(np.float32)
    assert frechet_distance(features, features[::-1]) == pytest.approx(0.0, abs=1e-6)
    rotation = np.linalg.qr(generator.normal(size=(64, 64)))[0]
    other = generator.normal(1.0, size=(20, 64))
    assert frechet_distance(features @ rotation, other @ rotation) == pytest.approx(frechet_distance(features, other))


def test_fewer_than_two_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 pictures"):
        frechet_distance(np.zeros((1, 4)), np.zeros((5, 4)))
