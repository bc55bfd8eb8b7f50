"""Each number against values that can be worked out by hand."""

import numpy as np
import pytest

from curation.signals.appearance import (
    alpha_cover,
    aspect,
    border_variance,
    bytes_per_pixel,
    colourfulness,
    luma_entropy,
    luma_mean,
    saturation,
    sharpness,
)


def test_shape_and_density():
    assert aspect(800, 600) == aspect(600, 800) == pytest.approx(4 / 3)
    assert bytes_per_pixel(6000, 200, 100) == 0.3


def test_sharpness_of_one_white_pixel_follows_the_stencil():
    """Luma 255 in the middle of 5 x 5: the 3 x 3 inside sees 4 * 255 once, -255 four times, 0 four times."""
    luma = np.zeros((5, 5), np.uint8)
    luma[2, 2] = 255
    assert sharpness(luma) == pytest.approx(np.array([4 * 255.0, *[-255.0] * 4, *[0.0] * 4]).var(), rel=1e-5)


def test_sharpness_is_the_variance_of_the_laplacian():
    luma = np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)
    wide = luma.astype(np.float64)
    laplacian = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:] - 4 * wide[1:-1, 1:-1]
    assert sharpness(luma) == pytest.approx(laplacian.var(), rel=1e-5)
    blurred = ((luma[:-1].astype(int) + luma[1:]) // 2).astype(np.uint8)
    assert sharpness(blurred) < sharpness(luma) / 1.5


def test_the_sharpest_picture_there_is_does_not_overflow():
    board = (np.indices((30, 30)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert sharpness(board) == pytest.approx(1020**2)


@pytest.mark.parametrize("shape", [(1, 1), (2, 50), (30, 30)])
def test_a_flat_or_tiny_picture_has_no_sharpness(shape: tuple[int, int]):
    assert sharpness(np.full(shape, 77, np.uint8)) == 0.0


def test_tone_of_known_histograms():
    half = [0] * 256
    half[0] = half[200] = 500
    assert luma_mean(half) == 100.0
    assert luma_entropy(half) == 1.0
    assert luma_entropy([3] * 256) == pytest.approx(8.0)
    flat = [0] * 256
    flat[9] = 10
    assert luma_entropy(flat) == 0.0


def test_a_frame_of_one_colour_has_no_border_variance_whatever_is_inside():
    luma = np.random.default_rng(2).integers(0, 256, (64, 96), dtype=np.uint8)
    assert border_variance(luma) > 4000
    luma[:4] = luma[-4:] = luma[:, :4] = luma[:, -4:] = 250
    assert border_variance(luma) == 0.0
    luma[0, 0] = 0
    assert border_variance(luma) > 0.0


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 3)])
def test_border_of_tiny_pictures_is_defined(shape: tuple[int, int]):
    assert border_variance(np.full(shape, 5, np.uint8)) == 0.0


@pytest.mark.parametrize(
    ("colour", "expected"), [((255, 0, 0), 1.0), ((90, 90, 90), 0.0), ((0, 0, 0), 0.0), ((200, 100, 150), 0.5)]
)
def test_saturation_of_one_colour(colour: tuple[int, int, int], expected: float):
    assert saturation(np.full((300, 200, 3), colour, np.uint8)) == pytest.approx(expected, abs=1e-6)


def test_thinning_out_a_large_picture_hardly_changes_its_colours():
    rgb = np.random.default_rng(1).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    high, low = rgb.max(axis=2).astype(float), rgb.min(axis=2).astype(float)
    assert saturation(rgb) == pytest.approx(((high - low) / np.maximum(high, 1)).mean(), abs=0.008)
    assert colourfulness(rgb) == pytest.approx(colourfulness(rgb[:128, :128]), rel=0.02)


def test_colourfulness_is_zero_for_grey_and_known_for_plain_red():
    grey = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), 3, axis=2)
    assert colourfulness(grey) == pytest.approx(0, abs=1e-5)
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert colourfulness(red) == pytest.approx(0.3 * np.hypot(255, 127.5), rel=1e-5)   # no spread, only the shift


def test_alpha_cover_counts_pixels_more_opaque_than_not():
    alpha = np.zeros((2, 4), np.uint8)
    alpha[0] = [255, 128, 127, 1]
    assert alpha_cover(alpha) == pytest.approx(2 / 8)
    assert alpha_cover(None) == 1.0
