"""One row's columns as the tensor that batches are made of: functions alone, for the processes that fetch rows."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from curation.decode import training_view


def decode_latent(record: Mapping[str, object]) -> Float[Tensor, "c y x"]:
    """The latent of a row with LATENT_SCHEMA."""
    shape = record["latent_shape"]
    assert isinstance(shape, list), shape
    return torch.tensor(record["latent"], dtype=torch.float32).reshape(shape)


def decode_picture(record: Mapping[str, object], *, size_px: int) -> UInt8[Tensor, "3 y x"]:
    """The picture of a row, fitted into a square of this side.

    Raises:
        Undecodable: the row holds no picture.
    """
    encoded = record["image"]
    assert isinstance(encoded, bytes), type(encoded)
    return torch.from_numpy(training_view(encoded, size_px).copy()).permute(2, 0, 1)
