"""What is read of a row for training."""

from functools import partial

import numpy as np
import torch

from curation.decode import encode_png
from models.convolutions import unfold
from train.decoding import decode_latent, learnt_cells, pixels_of_cells, row_reading

decode_latent_and_learnt = partial(decode_latent, beside=(learnt_cells,))


def record(*boxes: tuple[float, float, float, float, bool], width_px: int, height_px: int) -> dict[str, object]:
    named = [dict(zip(("x0", "y0", "x1", "y1", "is_defect"), box, strict=True)) for box in boxes]
    return {
        "latent": [float(number) for number in range(32)], "latent_shape": [2, 4, 4], "text_boxes": named,
        "width_px": width_px, "height_px": height_px,
    }  # fmt: skip


def test_cells_that_a_defect_touches_are_not_learnt_and_other_text_is() -> None:
    found = decode_latent_and_learnt(record((0.0, 0.8, 0.4, 1.0, True), (0.0, 0.0, 1.0, 0.5, False), width_px=8, height_px=8))
    assert torch.equal(found[:2].flatten(), torch.arange(32.0))
    assert found[2].tolist() == [[1, 1, 1, 1]] * 3 + [[0, 0, 1, 1]]


def test_pixels_of_cells_are_those_of_the_picture_at_that_size() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    wide = pixels_of_cells({"image": encode_png(pixels)}, 2, 3, patch_px=16)
    assert torch.equal(unfold(wide[None], 16)[0], torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1)
    square = pixels_of_cells({"image": encode_png(pixels[:, :32])}, 4, 4, patch_px=8)
    assert torch.equal(unfold(square[None], 8)[0], unfold(wide[None], 16)[0][:, :, :32])


def test_what_is_read_beside_a_latent_stands_where_the_reading_says() -> None:
    reading = row_reading(2, masks_defects=True, patch_px=8, read_px=12)
    assert reading.columns == ("latent", "latent_shape", "text_boxes", "width_px", "height_px", "image")
    row = record(width_px=32, height_px=32) | {"image": encode_png(np.full((32, 32, 3), 255, np.uint8))}
    found = decode_latent(row, beside=reading.beside)
    assert (reading.patches, reading.read, len(found)) == (3, 3 + 192, 3 + 192 + 27)
    assert found[reading.patches :].eq(1).all()
    assert row_reading(2, masks_defects=False, patch_px=0, read_px=0).columns == ("latent", "latent_shape")


def test_a_picture_that_is_no_square_lies_in_the_middle_of_one() -> None:
    whole = (0.0, 0.0, 1.0, 1.0, True)
    assert decode_latent_and_learnt(record(whole, width_px=16, height_px=8))[2].tolist() == [[1] * 4, [0] * 4, [0] * 4, [1] * 4]
    tall = decode_latent_and_learnt(record(whole, width_px=8, height_px=16))[2]
    assert torch.equal(tall, torch.tensor([[1.0, 0.0, 0.0, 1.0]] * 4))
