"""How vivid a picture's colours are.

y, x pixels
"""

import numpy as np
from jaxtyping import UInt8

VERSION = 1
"""Raised when the number changes."""

MAX_PIXELS = 128 * 128
"""More are thinned out evenly: the mean over 16,384 pixels is known to about 0.002."""


def saturation(rgb: UInt8[np.ndarray, "y x 3"]) -> float:
    """Mean saturation (max - min) / max of the HSV cone, in [0, 1]; 0 for grey pictures (Smith 1978)."""
    step = max(1, int((rgb.shape[0] * rgb.shape[1] / MAX_PIXELS) ** 0.5))
    red, green, blue = (np.ascontiguousarray(rgb[::step, ::step, channel]) for channel in range(3))
    high = np.maximum(np.maximum(red, green), blue)
    low = np.minimum(np.minimum(red, green), blue)
    return float(((high - low) / np.maximum(high, 1).astype(np.float32)).mean())
