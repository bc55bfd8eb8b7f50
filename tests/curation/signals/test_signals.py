"""The signals as the engine runs them: from encoded pictures to columns."""

import hashlib
import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from curation.decode import decode_scaled
from curation.signals import SIGNALS, features
from curation.signals.contract import VIEW_SIDE_PX, Batch, Signal
from curation.tables import FEATURE_DIM, MEASURED_SCHEMA


class MeanColour:
    """Stands for the feature network: the mean colour in the first three of its numbers."""

    version = features.NETWORK_VERSION

    def of_pixels(self, pixels: np.ndarray) -> np.ndarray:
        found = np.zeros((len(pixels), FEATURE_DIM), np.float32)
        found[:, :3] = pixels.mean((1, 2))
        return found


def png(width_px: int = 40, height_px: int = 20) -> bytes:
    """Half red, half transparent."""
    image = Image.new("RGBA", (width_px, height_px), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((0, 0, width_px // 2 - 1, height_px - 1), fill=(255, 0, 0, 255))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def batch_of(*pictures: bytes) -> Batch:
    rows = pa.table({"image": pa.array(pictures, pa.large_binary())})
    return Batch(rows, [decode_scaled(one, VIEW_SIDE_PX) for one in pictures])


def test_every_measured_column_belongs_to_one_signal() -> None:
    assert pa.schema([field for one in SIGNALS for field in one.outputs]) == MEASURED_SCHEMA
    assert len({one.name for one in SIGNALS}) == len({one.version for one in SIGNALS}) == len(SIGNALS)


def test_a_picture_half_red_half_transparent() -> None:
    batch = batch_of(png())
    hashes, appearance = (one.build()(batch) for one in SIGNALS if one.name != "features")
    assert (hashes["width_px"].to_pylist(), hashes["height_px"].to_pylist()) == ([40], [20])
    assert hashes["exact_hash"].to_pylist() == [hashlib.sha256(png()).hexdigest()]
    assert appearance["alpha_cover"].to_pylist() == [0.5]
    found = features.Features(MeanColour())(batch)["image_features"].to_pylist()[0]
    assert found[0] == pytest.approx(255)
    assert found[1] == pytest.approx(255 * 0.75, abs=2)   # a quarter of the square view is red


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda one: one.name)
def test_values_do_not_depend_on_the_batch(signal: Signal) -> None:
    pictures = [png(), png(64, 64), png(30, 60)]
    compute = signal.build()
    together = pa.table(dict(compute(batch_of(*pictures)))).cast(signal.outputs)
    for index, picture in enumerate(pictures):
        alone = pa.table(dict(compute(batch_of(picture)))).cast(signal.outputs).to_pylist()[0]
        for name, value in together.slice(index, 1).to_pylist()[0].items():
            if name == "image_features":
                np.testing.assert_allclose(value, alone[name], rtol=1e-3, atol=1e-4)
                assert np.abs(value).max() > 0
            else:
                assert value == alone[name]
