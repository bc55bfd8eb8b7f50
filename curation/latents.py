"""Latents of pictures by an autoencoder's bundle: what the generator is trained on, computed once.

b batch · c channels · y, x latent rows and columns
"""

import numpy as np
import pyarrow as pa
import torch

from curation.decode import training_view
from curation.tables import LATENT_SCHEMA
from models.autoencoder import Autoencoder


def encode_rows(rows: pa.Table, autoencoder: Autoencoder, *, size_px: int, batch_size: int, bundle_digest: str) -> pa.Table:
    """Latent columns (LATENT_SCHEMA) of rows that have the column `image`.

    Args:
        size_px: side of the square that a picture is fitted into; a multiple of the autoencoder's factor.
        batch_size: pictures encoded at once.
        bundle_digest: names the bundle that `autoencoder` was loaded from.

    Raises:
        Undecodable: a picture cannot be read; rows that `curate` kept can.
    """
    views = [training_view(encoded, size_px) for encoded in rows["image"].to_pylist()]
    batches = [views[start : start + batch_size] for start in range(0, len(views), batch_size)]
    latents = [latent for batch in batches for latent in _encode(batch, autoencoder)]
    columns = {
        "latent": pa.array([latent.reshape(-1) for latent in latents], LATENT_SCHEMA.field("latent").type),
        "latent_shape": pa.array([list(latent.shape) for latent in latents], LATENT_SCHEMA.field("latent_shape").type),
        "latent_bundle": pa.array([bundle_digest] * len(latents), pa.string()),
    }
    return pa.table(columns, schema=LATENT_SCHEMA)


def _encode(views: list[np.ndarray], autoencoder: Autoencoder) -> list[np.ndarray]:
    pixels = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        return list(autoencoder.encode(pixels).float().numpy())
