"""All cheap signals at once: nulls and reasons for what is no picture, and the same rows in any batch."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curation.decode import decode
from curation.signals import hashes
from curation.signals.pictures import PICTURES_SCHEMA, measure_pictures, versions
from pipelines.bench.decode import picture

JPEG = picture((800, 600), seed=6)


def as_table(batch: list[bytes | None]) -> pa.Table:
    return pa.table(measure_pictures(batch), schema=PICTURES_SCHEMA)


def test_a_picture_is_measured():
    (row,) = as_table([JPEG]).to_pylist()
    assert (row["file_kind"], row["width_px"], row["height_px"], row["refusal"]) == ("jpeg", 800, 600, None)
    assert row["aspect"] == pytest.approx(4 / 3)
    assert row["bytes_per_pixel"] == pytest.approx(len(JPEG) / 480_000)
    assert 0 < row["luma_mean"] < 255
    assert 6 < row["luma_entropy"] <= 8
    assert 0 < row["saturation"] < 1
    assert row["sharpness"] > 10
    assert len(row["thumbnail"]) == 256


def test_what_is_no_picture_is_refused_with_its_cause_and_nulls():
    rows = as_table([JPEG[: len(JPEG) // 2], b"<!DOCTYPE html><html></html>", None, b""]).to_pylist()
    assert [row["refusal"] for row in rows] == ["truncated", "not_a_picture", "not_a_picture", "not_a_picture"]
    assert all(row["refusal_detail"] for row in rows)
    assert [row["file_hash"] is None for row in rows] == [False, False, True, False]
    measured = set(PICTURES_SCHEMA.names) - {"file_hash", "refusal", "refusal_detail"}
    assert all(row[name] is None for row in rows for name in measured)


def test_a_row_does_not_depend_on_its_batch():
    batch: list[bytes | None] = [picture((300 + 90 * seed, 400), seed=seed) for seed in range(5)]
    batch[2:2] = [None, b"no picture"]
    together = as_table(batch)
    assert together.equals(pa.concat_tables([as_table([one]) for one in batch]))
    assert together.num_rows == 7


def test_an_empty_batch_has_all_columns():
    assert as_table([]).num_rows == 0


def test_the_hash_is_close_to_that_of_the_whole_picture():
    whole = hashes.perceptual_hash(decode(JPEG)[..., :3])
    ours = measure_pictures([JPEG])["perceptual_hash"][0].as_py()
    assert (whole ^ ours).bit_count() <= 4


def test_blur_lowers_sharpness_and_grey_has_no_saturation():
    def saved(image: Image.Image) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    with Image.open(io.BytesIO(JPEG)) as whole:
        rows = as_table([saved(whole), saved(whole.reduce(8).resize(whole.size)), saved(whole.convert("L"))]).to_pylist()
    sharp, blurred, grey = rows
    assert blurred["sharpness"] < sharp["sharpness"] / 3
    assert grey["saturation"] == 0
    assert grey["luma_mean"] == pytest.approx(sharp["luma_mean"], abs=1)


def test_transparent_pictures_are_measured_on_white():
    rgba = np.zeros((60, 60, 4), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    (row,) = as_table([buffer.getvalue()]).to_pylist()
    assert row["luma_mean"] == 255.0


def test_every_signal_has_a_version():
    assert set(versions()) == {"view", "fingerprints", "focus", "tone", "saturation", "border", "density"}
    assert all(isinstance(version, int) for version in versions().values())
