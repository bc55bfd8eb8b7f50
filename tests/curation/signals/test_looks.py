"""Sharpness, tone, saturation, border and density against values that can be worked out by hand."""

import numpy as np
import pytest

from curation.signals.border import border_variance
from curation.signals.density import bytes_per_pixel
from curation.signals.focus import laplacian_variance
from curation.signals.saturation import saturation
from curation.signals.tone import luma_entropy, luma_mean


def test_sharpness_is_the_variance_of_the_laplacian():
    luma = np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)
    wide = luma.astype(np.float64)
    laplacian = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:] - 4 * wide[1:-1, 1:-1]
    assert laplacian_variance(luma) == pytest.approx(laplacian.var(), rel=1e-5)


def test_the_sharpest_picture_there_is_does_not_overflow():
    board = (np.indices((30, 30)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert laplacian_variance(board) == pytest.approx(1020**2)


@pytest.mark.parametrize("shape", [(1, 1), (2, 50), (30, 30)])
def test_a_flat_or_tiny_picture_has_no_sharpness(shape):
    assert laplacian_variance(np.full(shape, 77, np.uint8)) == 0.0


def test_tone_of_known_histograms():
    half = [0] * 256
    half[0] = half[200] = 500
    assert luma_mean(half) == 100.0
    assert luma_entropy(half) == 1.0
    assert luma_entropy([3] * 256) == pytest.approx(8.0)
    flat = [0] * 256
    flat[9] = 10
    assert luma_entropy(flat) == 0.0


@pytest.mark.parametrize(
    ("colour", "expected"), [((255, 0, 0), 1.0), ((90, 90, 90), 0.0), ((0, 0, 0), 0.0), ((200, 100, 150), 0.5)]
)
def test_saturation_of_one_colour(colour, expected):
    assert saturation(np.full((300, 200, 3), colour, np.uint8)) == pytest.approx(expected, abs=1e-6)


def test_thinning_out_a_large_picture_hardly_changes_its_saturation():
    rgb = np.random.default_rng(1).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    high, low = rgb.max(axis=2).astype(float), rgb.min(axis=2).astype(float)
    assert saturation(rgb) == pytest.approx(((high - low) / np.maximum(high, 1)).mean(), abs=0.008)


def test_a_frame_of_one_colour_has_no_border_variance_whatever_is_inside():
    luma = np.random.default_rng(2).integers(0, 256, (64, 96), dtype=np.uint8)
    assert border_variance(luma) > 4000
    luma[:4] = luma[-4:] = luma[:, :4] = luma[:, -4:] = 250
    assert border_variance(luma) == 0.0
    luma[0, 0] = 0
    assert border_variance(luma) > 0.0


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 3)])
def test_border_of_tiny_pictures_is_defined(shape):
    assert border_variance(np.full(shape, 5, np.uint8)) == 0.0


def test_bytes_per_pixel():
    assert bytes_per_pixel(6000, 200, 100) == 0.3
