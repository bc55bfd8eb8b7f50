"""Image features for near-duplicate checks, evaluation and search: EfficientNet-lite0, pooled.

The network is handed in, so that importing the signals costs nothing where they are only named.

b batch · n rows · y, x pixels
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, UInt8

from curation.decode import Scaled, fit_square, on_background
from curation.signals.contract import VIEW_SIDE_PX, Batch, Compute, Signal, version_of
from curation.tables import FEATURE_DIM, FEATURES_SCHEMA

VIEW_PX = 64
"""Side of the square view a picture is fitted into; the size the first generator works at."""

NETWORK_VERSION = "efficientnet-lite0-57934424/view64/input128/fp32"
"""The network the features are to come from, as `LiteFeatures.version` says it."""


@runtime_checkable
class FeatureNetwork(Protocol):
    """What is needed of `models.perception.efficientnet.LiteFeatures`."""

    @property
    def version(self) -> str:
        """Changes whenever the features would."""
        ...

    def of_pixels(self, pixels: UInt8[np.ndarray, "b y x 3"]) -> Float32[np.ndarray, "b 1280"]:
        """Features of 8-bit RGB pictures."""
        ...


class Features:
    """Features of pictures by one network."""

    def __init__(self, network: FeatureNetwork) -> None:
        assert network.version == NETWORK_VERSION, f"features are to come from {NETWORK_VERSION}, this is {network.version}"
        self._network = network

    def __call__(self, batch: Batch) -> dict[str, pa.Array]:
        """Pooled features of the pictures' square views."""
        vectors = self._network.of_pixels(np.stack(square_views(batch.pictures)))
        flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
        return {"image_features": pa.FixedSizeListArray.from_arrays(flat, FEATURE_DIM)}


def square_views(pictures: Sequence[Scaled]) -> list[UInt8[np.ndarray, "y x 3"]]:
    """Every picture fitted into a square on white."""
    return [on_background(fit_square(_with_alpha(one), VIEW_PX)) for one in pictures]


def known_features(rows: pa.Table) -> tuple[Float32[np.ndarray, "b 1280"], Bool[np.ndarray, " n"]]:
    """Features of the rows that have them, and which rows those are; for signals that read them."""
    column = rows["image_features"].combine_chunks()
    is_known = np.asarray(column.is_valid())
    return np.asarray(column.flatten(), dtype=np.float32).reshape(-1, FEATURE_DIM), is_known


def _with_alpha(picture: Scaled) -> UInt8[np.ndarray, "y x 4"]:
    opaque = np.full(picture.pixels.shape[:2], 255, dtype=np.uint8)  # what was transparent is white already
    return np.dstack([picture.pixels, opaque])


def _build() -> Compute:
    from models.perception.efficientnet import LiteFeatures  # heavy: only workers need torch

    return Features(LiteFeatures.load())


SIGNAL = Signal(
    name="features", version=version_of(network=NETWORK_VERSION, view_px=VIEW_PX, decoded_px=VIEW_SIDE_PX), inputs=("image",),
    outputs=FEATURES_SCHEMA, build=_build, takes_pictures=True,
)  # fmt: skip
"""Pooled features."""

MEASURED = f"image_features IS NOT NULL AND {SIGNAL.version_column} = '{SIGNAL.version}'"
"""Lance filter of the rows that have present features: what signals read that are computed from these."""
