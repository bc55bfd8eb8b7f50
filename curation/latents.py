"""Latents of pictures by an autoencoder's bundle: what the generator is trained on, computed once for every resolution.

A picture that is trained on at several resolutions has a latent for each, in columns of their own. Rejected: one row for each,
since everything else known of a picture would stand there twice; and making small latents of large ones, since an autoencoder's
latents are not pictures. The small ones cost little: at 512 px a 64th of those at 4K, and a stage reads no others.

c channels
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, UInt8

from curation.signals.contract import Batch
from curation.tables import LATENT, latent_schema
from models.autoencoder import Autoencoder

Pixels = UInt8[np.ndarray, "_ _ 3"]

PIXELS_AT_ONCE = 2**22
"""Most pixels that the autoencoder is given together, unless one picture has more: what it holds grows with them."""


def encode_batch(
    batch: Batch, autoencoder: Autoencoder, *, view: Callable[[bytes], Pixels], column: str = LATENT
) -> dict[str, pa.Array]:
    """Latent columns (`latent_schema`) of rows that have the column `image`.

    Args:
        view: the pixels that the autoencoder sees of an encoded picture, sides in multiples of its factor.

    Raises:
        Undecodable: a picture cannot be read; rows that `curate` kept can.
    """
    latents = _encode([view(encoded) for encoded in batch.rows["image"].to_pylist()], autoencoder)
    schema = latent_schema(column)
    values = ([latent.reshape(-1) for latent in latents], [list(latent.shape) for latent in latents])
    return {field.name: pa.array(each, field.type) for field, each in zip(schema, values, strict=True)}


def _encode(views: Sequence[Pixels], autoencoder: Autoencoder) -> list[Float[np.ndarray, "c _ _"]]:
    """In the order of the views; those of one shape together."""
    latents: dict[int, Float[np.ndarray, "c _ _"]] = {}
    for together in _alike(views):
        pixels = torch.from_numpy(np.stack([views[place] for place in together])).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.inference_mode():
            latents.update(zip(together, autoencoder.encode(pixels).float().numpy(), strict=True))
    return [latents[place] for place in range(len(views))]


def _alike(views: Sequence[Pixels]) -> Iterator[list[int]]:
    """Places of views of one shape, as many as may be encoded at once."""
    places: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, view in enumerate(views):
        places[view.shape].append(place)
    for (height, width, _), found in places.items():
        size = max(1, PIXELS_AT_ONCE // (height * width))
        yield from (found[start : start + size] for start in range(0, len(found), size))
