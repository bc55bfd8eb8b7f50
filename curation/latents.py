"""Latents of pictures by an autoencoder's bundle: what the generator is trained on, computed once.

b batch · c channels · y, x latent rows and columns
"""

import numpy as np
import pyarrow as pa
import torch

from curation.decode import training_view
from curation.signals.contract import Batch
from curation.tables import LATENT_SCHEMA
from models.autoencoder import Autoencoder


def encode_batch(batch: Batch, autoencoder: Autoencoder, *, size_px: int) -> dict[str, pa.Array]:
    """Latent columns (LATENT_SCHEMA) of rows that have the column `image`.

    Args:
        size_px: side of the square that a picture is fitted into; a multiple of the autoencoder's factor.

    Raises:
        Undecodable: a picture cannot be read; rows that `curate` kept can.
    """
    latents = _encode([training_view(encoded, size_px) for encoded in batch.rows["image"].to_pylist()], autoencoder)
    return {
        "latent": pa.array([latent.reshape(-1) for latent in latents], LATENT_SCHEMA.field("latent").type),
        "latent_shape": pa.array([list(latent.shape) for latent in latents], LATENT_SCHEMA.field("latent_shape").type),
    }


def _encode(views: list[np.ndarray], autoencoder: Autoencoder) -> list[np.ndarray]:
    pixels = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        return list(autoencoder.encode(pixels).float().numpy())
