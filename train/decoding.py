"""One row's columns as the tensor that batches are made of: functions alone, for the processes that fetch rows."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from curation.decode import training_view

LATENT_COLUMNS = ("latent", "latent_shape")
DEFECT_COLUMNS = ("text_boxes", "width_px", "height_px")


def decode_latent(record: Mapping[str, object]) -> Float[Tensor, "c y x"]:
    """The latent of a row with LATENT_SCHEMA."""
    shape = record["latent_shape"]
    assert isinstance(shape, list), shape
    return torch.tensor(record["latent"], dtype=torch.float32).reshape(shape)


def decode_latent_and_learnt(record: Mapping[str, object]) -> Float[Tensor, "d y x"]:
    """The latent of a row and, as one channel more, 1 in cells that are learnt and 0 in those that a defect touches.

    The picture lies in the latent as large as it goes, in the middle (`curation.decode.training_view`).
    """
    latent = decode_latent(record)
    height, width = latent.shape[1:]
    aspect = cast(int, record["width_px"]) / cast(int, record["height_px"])
    shown_width, shown_height = min(width, height * aspect), min(height, width / aspect)
    left, top = (width - shown_width) / 2, (height - shown_height) / 2
    learnt = torch.ones(1, height, width)
    for box in cast(Sequence[Mapping[str, float]], record["text_boxes"]):
        if box["is_defect"]:
            x0, x1 = (left + shown_width * box[edge] for edge in ("x0", "x1"))
            y0, y1 = (top + shown_height * box[edge] for edge in ("y0", "y1"))
            learnt[:, math.floor(y0) : math.ceil(y1), math.floor(x0) : math.ceil(x1)] = 0.0
    return torch.cat([latent, learnt])


def decode_picture(record: Mapping[str, object], *, size_px: int) -> UInt8[Tensor, "3 y x"]:
    """The picture of a row, fitted into a square of this side.

    Raises:
        Undecodable: the row holds no picture.
    """
    encoded = record["image"]
    assert isinstance(encoded, bytes), type(encoded)
    return torch.from_numpy(training_view(encoded, size_px).copy()).permute(2, 0, 1)
