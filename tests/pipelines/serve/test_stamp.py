from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from infra.errors import UserError
from pipelines.serve.stamp import SOURCE_TYPE, Stamp, encode_stamped_png, read_stamp

STAMP = Stamp(bundle="0123456789ab", run="run-1", seed=2**31 - 1, references=2)


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)


def test_a_stamp_is_read_back_and_the_pixels_are_untouched(tmp_path: Path):
    encoded = encode_stamped_png(pixels(), STAMP)
    file = tmp_path / "a.png"
    file.write_bytes(encoded)
    assert read_stamp(file) == STAMP
    with Image.open(BytesIO(encoded)) as picture:
        assert np.array_equal(np.asarray(picture), pixels())
        assert picture.info["DigitalSourceType"] == SOURCE_TYPE


def test_a_picture_without_a_stamp_is_refused(tmp_path: Path):
    file = tmp_path / "plain.png"
    Image.fromarray(pixels()).save(file)
    with pytest.raises(UserError, match="carries no seedbed metadata"):
        read_stamp(file)


def test_a_damaged_stamp_is_refused_by_field(tmp_path: Path):
    notes = PngInfo()
    for name, value in {"bundle": "b", "run": "r", "seed": "seven", "references": "0"}.items():
        notes.add_text(f"seedbed.{name}", value)
    file = tmp_path / "damaged.png"
    Image.fromarray(pixels()).save(file, pnginfo=notes)
    with pytest.raises(UserError, match=r"damaged seedbed metadata \(seed: "):
        read_stamp(file)


@pytest.mark.parametrize("content", [b"", b"not a picture", encode_stamped_png(pixels(), STAMP)[:20]])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes):
    file = tmp_path / "a.png"
    file.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as a picture"):
        read_stamp(file)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"no file at .*nothing\.png"):
        read_stamp(tmp_path / "nothing.png")
