"""Image features for near-duplicate checks, evaluation and search: EfficientNet-lite0, pooled.

The network is handed in, so that importing the signals costs nothing where they are only named.

b batch · y, x pixels
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from curation.tables import FEATURE_DIM

VIEW_PX = 64
"""Side of the square view a picture is fitted into; the size the first generator works at."""

NETWORK_VERSION = "efficientnet-lite0-57934424/view64/input128/fp32"
"""The network the features are to come from, as `LiteFeatures.version` says it; part of `measure_version`."""


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


def features_of(views: Sequence[UInt8[np.ndarray, "y x 3"]], network: FeatureNetwork) -> Float32[np.ndarray, "b 1280"]:
    """Pooled features of square views of equal size."""
    assert network.version == NETWORK_VERSION, f"features are to come from {NETWORK_VERSION}, this network is {network.version}"
    if not views:
        return np.zeros((0, FEATURE_DIM), dtype=np.float32)
    return network.of_pixels(np.stack(views))
