import numpy as np
import pytest

from curation.signals.appearance import alpha_cover, colourfulness, sharpness


def test_sharpness_of_one_white_pixel_follows_the_stencil() -> None:
    """Luma 255 in the middle of 5 x 5: the 3 x 3 inside sees -4 * 255 once, 255 four times, 0 four times."""
    picture = np.zeros((5, 5, 3), np.uint8)
    picture[2, 2] = 255
    seen = np.array([-4 * 255.0, *[255.0] * 4, *[0.0] * 4])
    assert sharpness(picture) == pytest.approx(seen.var(), rel=1e-5)


def test_sharpness_falls_with_blur_and_is_zero_on_plain_and_tiny_pictures() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    blurred = ((noise[:-1].astype(int) + noise[1:]) // 2).astype(np.uint8)
    assert sharpness(blurred) < sharpness(noise) / 1.5
    assert sharpness(np.full((8, 8, 3), 77, np.uint8)) == pytest.approx(0, abs=1e-6)
    assert sharpness(noise[:2]) == 0


def test_colourfulness_is_zero_for_grey_and_known_for_plain_red() -> None:
    grey = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), 3, axis=2)
    assert colourfulness(grey) == pytest.approx(0, abs=1e-5)
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert colourfulness(red) == pytest.approx(0.3 * np.hypot(255, 127.5), rel=1e-5)   # no spread, only the shift


def test_alpha_cover_counts_pixels_more_opaque_than_not() -> None:
    alpha = np.zeros((2, 4), np.uint8)
    alpha[0] = [255, 128, 127, 1]
    assert alpha_cover(alpha) == pytest.approx(2 / 8)
    assert alpha_cover(None) == 1.0
