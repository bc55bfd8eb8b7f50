import hashlib
import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from curation.signals.features import NETWORK_VERSION
from curation.signals.measure import Measuring, measure, measure_version
from curation.tables import FEATURE_DIM, MEASURED_SCHEMA


class Counting:
    """Stands for the feature network: the mean colour in the first three of its numbers."""

    version = NETWORK_VERSION

    def of_pixels(self, pixels: np.ndarray) -> np.ndarray:
        features = np.zeros((len(pixels), FEATURE_DIM), np.float32)
        features[:, :3] = pixels.mean((1, 2))
        return features


def _png(width_px: int = 40, height_px: int = 20) -> bytes:
    image = Image.new("RGBA", (width_px, height_px), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((0, 0, width_px // 2 - 1, height_px - 1), fill=(255, 0, 0, 255))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_measured_columns_of_a_picture_half_red_half_transparent() -> None:
    (row,) = measure([_png()], Counting()).to_pylist()
    assert (row["width_px"], row["height_px"], row["alpha_cover"]) == (40, 20, 0.5)
    pixels = np.zeros((20, 40, 4), np.uint8)
    pixels[:, :20] = (255, 0, 0, 255)
    assert row["exact_hash"] == hashlib.sha256(b"40x20:" + pixels.tobytes()).hexdigest()
    assert row["measure_version"] == measure_version()
    assert row["verdict"] is None
    assert row["image_features"][0] == pytest.approx(255)
    assert row["image_features"][1] == pytest.approx(255 * 0.75, abs=2)   # a quarter of the square view is red


def test_unreadable_and_truncated_pictures_are_quarantined_and_the_others_measured() -> None:
    whole = _png()
    table = measure([whole, None, b"no picture", whole[:60], whole], Counting())
    assert table.schema == MEASURED_SCHEMA
    assert table["verdict"].to_pylist() == [None, "quarantined", "quarantined", "quarantined", None]
    assert table["verdict_reasons"].to_pylist()[1:4] == [["unreadable"]] * 3
    assert table["width_px"].to_pylist() == [40, None, None, None, 40]
    features = table["image_features"].to_pylist()
    assert features[1:4] == [None] * 3
    assert features[0] == features[4]
    assert table["measure_version"].null_count == 0


def test_a_batch_of_broken_pictures_alone_is_measured_too() -> None:
    assert measure([None, b""], Counting())["verdict"].to_pylist() == ["quarantined", "quarantined"]


def test_the_real_network_is_the_one_named_in_the_version_and_does_not_depend_on_the_batch() -> None:
    measuring = Measuring()
    import pyarrow as pa

    pictures = [_png(), _png(64, 64), _png(30, 60)]
    together = measuring(pa.table({"image": pa.array(pictures, pa.large_binary())}))
    for index, picture in enumerate(pictures):
        alone = measuring(pa.table({"image": pa.array([picture], pa.large_binary())}))
        ours, theirs = (np.array(table["image_features"][row].as_py()) for table, row in ((alone, 0), (together, index)))
        assert np.abs(ours).max() > 0
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
