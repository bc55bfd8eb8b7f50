"""The small picture: one number of pixels for all, and the same whether the decoder shrank or not."""

import io

import numpy as np
import pytest
from PIL import Image

from curation.decode import decode_scaled
from curation.signals.focus import laplacian_variance
from curation.signals.view import MIN_SIDE_PX, VIEW_PIXELS, view_of
from pipelines.bench.decode import picture


def encoded(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(1600, 1200), (640, 480), (2048, 512), (480, 640)])
def test_pictures_of_every_shape_are_measured_on_as_many_pixels(size):
    luma = view_of(decode_scaled(picture(size, seed=1), MIN_SIDE_PX)).luma
    assert luma.size == pytest.approx(VIEW_PIXELS, rel=0.01)
    assert luma.shape[1] / luma.shape[0] == pytest.approx(size[0] / size[1], rel=0.02)


def test_a_small_picture_is_measured_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    shown = view_of(decode_scaled(encoded(pixels), MIN_SIDE_PX))
    assert shown.luma.shape == (50, 70)
    assert np.array_equal(shown.rgb, pixels)


def test_a_decoder_that_shrinks_shows_nearly_what_one_that_does_not_shows():
    jpeg = picture((1600, 1200), seed=2)
    with Image.open(io.BytesIO(jpeg)) as whole:
        png = encoded(np.asarray(whole.convert("RGB")), compress_level=1)
    shrunk, full = (view_of(decode_scaled(file, MIN_SIDE_PX)) for file in (jpeg, png))
    assert shrunk.luma.shape == full.luma.shape
    assert np.abs(shrunk.luma.astype(int) - full.luma).mean() < 2.0
    assert laplacian_variance(shrunk.luma) == pytest.approx(laplacian_variance(full.luma), rel=0.1)
    assert np.abs(shrunk.square.astype(int) - full.square).max() <= 3


def test_the_histogram_counts_every_pixel_of_the_view():
    shown = view_of(decode_scaled(picture((640, 480), seed=3), MIN_SIDE_PX))
    assert list(shown.histogram) == np.bincount(shown.luma.ravel(), minlength=256).tolist()
