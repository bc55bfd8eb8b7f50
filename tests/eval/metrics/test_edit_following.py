import numpy as np
import pytest

from eval.metrics.edit_following import changed_region, error_inside, follows


def test_an_edit_follows_only_when_it_is_nearer_to_the_target_than_to_every_reference() -> None:
    target, reference, other = np.eye(3)
    results = np.stack([target + 0.2 * reference, reference + 0.2 * target, target + 2 * other])
    references = np.tile(np.stack([reference, other]), (3, 1, 1))
    assert follows(results, np.tile(target, (3, 1)), references).tolist() == [True, False, False]


def test_a_copied_reference_is_wrong_exactly_inside_the_edit() -> None:
    reference = np.full((3, 4, 4), -1.0)
    target = reference.copy()
    target[0, :2] = 0.5
    region = changed_region(reference, target)
    assert region.tolist() == [[True] * 4] * 2 + [[False] * 4] * 2
    assert error_inside(reference, target, region) == pytest.approx(0.5)      # one of three channels is off by 1.5
    assert error_inside(reference, target, ~region) == 0.0


def test_an_empty_region_has_no_error() -> None:
    picture = np.zeros((3, 2, 2))
    assert np.isnan(error_inside(picture, picture, changed_region(picture, picture)))
