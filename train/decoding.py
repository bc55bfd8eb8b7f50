"""One row's columns as the tensor that batches are made of: functions alone, for the processes that fetch rows."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from curation.decode import training_view, view_at
from models.convolutions import fold

LATENT_COLUMNS = ("latent", "latent_shape")
DEFECT_COLUMNS = ("text_boxes", "width_px", "height_px")
PICTURE_COLUMNS = ("image",)


Beside = Callable[[Mapping[str, object], int, int], Float[Tensor, "k y x"]]
"""More of a row, as channels of the cells of a latent of so many rows and columns."""


class RowReading(NamedTuple):
    """What is read of a row beside its latent, and where it stands in what is decoded."""

    columns: tuple[str, ...]
    beside: tuple[Beside, ...]
    patches: int
    """First channel of the pixels that tokens are aligned with."""
    read: int
    """First channel of the pixels that the text encoder sees."""


def row_reading(latent_channels: int, *, masks_defects: bool, patch_px: int, read_px: int) -> RowReading:
    """Channels in order: the latent; the loss's weight; pixels of every cell, to align with; the picture, to be seen.

    Args:
        patch_px: pixels a side of a cell, to align with; 0 for none.
        read_px: longest side of the picture to be seen; 0 for none.
    """
    columns, beside = LATENT_COLUMNS, list[Beside]()
    if masks_defects:
        columns, beside = columns + DEFECT_COLUMNS, [learnt_cells]
    if patch_px or read_px:
        columns = columns + PICTURE_COLUMNS
    if patch_px:
        beside.append(partial(pixels_of_cells, patch_px=patch_px))
    if read_px:
        beside.append(partial(pixels_within, most_px=read_px))
    patches = latent_channels + masks_defects
    return RowReading(columns, tuple(beside), patches, patches + 3 * patch_px**2)


def decode_latent(record: Mapping[str, object], *, beside: Sequence[Beside] = ()) -> Float[Tensor, "c y x"]:
    """The latent of a row with LATENT_SCHEMA, and behind it the channels of what else is asked for.

    Raises:
        Undecodable: the row's picture is asked for, and it holds none.
    """
    shape = record["latent_shape"]
    assert isinstance(shape, list), shape
    latent = torch.tensor(record["latent"], dtype=torch.float32).reshape(shape)
    return torch.cat([latent, *(channels(record, shape[1], shape[2]) for channels in beside)]) if beside else latent


def learnt_cells(record: Mapping[str, object], height: int, width: int) -> Float[Tensor, "1 y x"]:
    """1 in cells that are learnt and 0 in those that a defect touches.

    The picture lies in the latent as large as it goes, in the middle (`curation.decode.training_view`). One of a size of its own
    may have been cropped a little, so boxes reach half a cell further there.
    """
    reach = 0.0 if height == width else 0.5
    aspect = cast(int, record["width_px"]) / cast(int, record["height_px"])
    shown_width, shown_height = min(width, height * aspect), min(height, width / aspect)
    left, top = (width - shown_width) / 2, (height - shown_height) / 2
    learnt = torch.ones(1, height, width)
    for box in cast(Sequence[Mapping[str, float]], record["text_boxes"]):
        if box["is_defect"]:
            x0, x1 = (left + shown_width * box[edge] for edge in ("x0", "x1"))
            y0, y1 = (top + shown_height * box[edge] for edge in ("y0", "y1"))
            rows = slice(max(0, math.floor(y0 - reach)), math.ceil(y1 + reach))
            learnt[:, rows, max(0, math.floor(x0 - reach)) : math.ceil(x1 + reach)] = 0.0
    return learnt


def pixels_of_cells(record: Mapping[str, object], height: int, width: int, *, patch_px: int) -> Float[Tensor, "k y x"]:
    """The pixels of every cell, in [-1, 1]: of the picture at `patch_px` pixels a cell.

    Raises:
        Undecodable: the row holds no picture.
    """
    encoded = record["image"]
    assert isinstance(encoded, bytes), type(encoded)
    size = height * patch_px, width * patch_px
    seen = training_view(encoded, size[0]) if height == width else view_at(encoded, *size)
    return fold(torch.from_numpy(seen.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1, patch_px)[0]


def pixels_within(record: Mapping[str, object], height: int, width: int, *, most_px: int) -> Float[Tensor, "k y x"]:
    """The pixels of every cell, in [-1, 1]: of the picture with its longest side at most `most_px`, or a pixel a cell.

    Raises:
        Undecodable: the row holds no picture.
    """
    return pixels_of_cells(record, height, width, patch_px=max(1, most_px // max(height, width)))


def decode_picture(record: Mapping[str, object], *, size_px: int) -> UInt8[Tensor, "3 y x"]:
    """The picture of a row, fitted into a square of this side.

    Raises:
        Undecodable: the row holds no picture.
    """
    encoded = record["image"]
    assert isinstance(encoded, bytes), type(encoded)
    return torch.from_numpy(training_view(encoded, size_px).copy()).permute(2, 0, 1)
