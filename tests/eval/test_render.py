from pathlib import Path

import numpy as np
import pytest
import torch

from eval.render import Row, at_size, grid, png, read_png, to_image, to_pixels


def test_pixels_survive_the_way_to_a_tensor_and_through_a_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(8, 6, 3), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(png(to_pixels(to_image(pixels))))
    assert np.array_equal(read_png(tmp_path / "a.png"), pixels)


def test_values_outside_the_range_are_clipped_not_wrapped() -> None:
    pixels = to_pixels(torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]).repeat(3, 1, 1))
    assert pixels[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_a_grid_shows_every_picture_enlarged_and_leaves_gaps() -> None:
    red, blue = (np.full((4, 4, 3), colour, dtype=np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
    shown = grid([Row((red, None), "a red square"), Row((blue, red), "two")], heads=["left", "right"], across=2, cell_px=32)
    for colour, squares in (((200, 0, 0), 2), ((0, 0, 200), 1)):
        assert (shown == np.array(colour)).all(-1).sum() == squares * 32 * 32


def test_a_grid_keeps_proportions() -> None:
    banner = np.full((4, 16, 3), (200, 0, 0), dtype=np.uint8)
    is_red = (grid([Row((banner,), "a banner")], heads=["it"], across=1, cell_px=32) == np.array((200, 0, 0))).all(-1)
    assert (is_red.any(0).sum(), is_red.any(1).sum()) == (32, 8)


def test_a_picture_is_shown_at_the_size_of_another() -> None:
    pixels = np.full((8, 8, 3), 90, dtype=np.uint8)
    assert at_size(pixels, 8, 8) is pixels
    assert np.array_equal(at_size(pixels, 16, 12), np.full((16, 12, 3), 90, dtype=np.uint8))


def test_a_grid_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        grid([], heads=["a"], across=1, cell_px=8)
