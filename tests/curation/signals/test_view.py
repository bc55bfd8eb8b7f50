"""The small picture: one number of pixels for all, and the same whether the decoder shrank or not."""

import io

import numpy as np
import pytest
from PIL import Image

from curation.decode import decode_scaled
from curation.signals.appearance import sharpness
from curation.signals.contract import VIEW_SIDE_PX
from curation.signals.view import VIEW_PIXELS, small, square
from pipelines.bench.decode import picture


def shown(file: bytes) -> np.ndarray:
    return decode_scaled(file, VIEW_SIDE_PX).luma


def encoded(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(1600, 1200), (640, 480), (2048, 512), (480, 640)])
def test_pictures_of_every_shape_are_measured_on_as_many_pixels(size):
    luma = small(shown(picture(size, seed=1)))
    assert luma.width * luma.height == pytest.approx(VIEW_PIXELS, rel=0.01)
    assert luma.width / luma.height == pytest.approx(size[0] / size[1], rel=0.02)


def test_a_small_picture_is_measured_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    with Image.fromarray(pixels) as whole:
        assert np.abs(np.asarray(small(shown(encoded(pixels)))).astype(int) - np.asarray(whole.convert("L"))).max() <= 1


def test_a_decoder_that_shrinks_shows_nearly_what_one_that_does_not_shows():
    jpeg = picture((1600, 1200), seed=2)
    with Image.open(io.BytesIO(jpeg)) as whole:
        png = encoded(np.asarray(whole.convert("RGB")), compress_level=1)
    shrunk, full = (shown(file) for file in (jpeg, png))
    ours, theirs = (np.asarray(small(one)) for one in (shrunk, full))
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).mean() < 2.0
    assert sharpness(ours) == pytest.approx(sharpness(theirs), rel=0.1)
    assert np.abs(square(shrunk).astype(int) - square(full)).max() <= 3
