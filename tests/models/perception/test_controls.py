"""Control pictures from pixels."""

import numpy as np
import pytest
from jaxtyping import UInt8

from models.perception.controls import HIDDEN, canny, mask_picture, masked


def square(inside: int, outside: int) -> UInt8[np.ndarray, "40 40 3"]:
    picture = np.full((40, 40, 3), outside, dtype=np.uint8)
    picture[10:30, 12:28] = inside
    return picture


def test_edges_run_around_what_differs_one_pixel_wide_and_nowhere_else() -> None:
    edges = canny(square(200, 20))
    assert edges.shape == (40, 40, 3)
    assert set(np.unique(edges)) == {0, 255}
    rows, columns = np.nonzero(edges[..., 0])
    assert 8 <= rows.min() < rows.max() <= 31
    assert 10 <= columns.min() < columns.max() <= 29
    assert (edges[20, :, 0] > 0).sum() == (edges[:, 20, 0] > 0).sum() == 2
    assert not edges[14:26, 16:24].any()


def test_faint_steps_and_plain_pictures_have_no_edges() -> None:
    assert canny(square(120, 124)).max() == 0                        # a step by 4 levels
    assert canny(square(120, 180)).max() == 255                      # and by 60
    assert canny(np.full((8, 5, 3), 70, dtype=np.uint8)).max() == 0


def test_edges_do_not_depend_on_which_side_is_the_bright_one() -> None:
    assert np.array_equal(canny(square(200, 20)) > 0, canny(square(55, 235)) > 0)


def test_a_mask_hides_its_region_alone_and_is_a_picture_itself() -> None:
    picture, mask = square(200, 20), np.zeros((40, 40), dtype=bool)
    mask[5:15, 5:15] = True
    hidden = masked(picture, mask)
    assert (hidden[mask] == HIDDEN).all()
    assert np.array_equal(hidden[~mask], picture[~mask])
    shown = mask_picture(mask)
    assert (shown[mask] == 255).all()
    assert not shown[~mask].any()


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="a mask of 30 x 20 px does not fit a picture of 40 x 40 px"):
        masked(square(1, 2), np.zeros((20, 30), dtype=bool))
