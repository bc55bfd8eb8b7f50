"""What runs round the edge of a picture: frames, letterboxes and plain backgrounds have little variance there.

y, x pixels
"""

import numpy as np
from jaxtyping import UInt8

VERSION = 1
"""Raised when the number changes."""

BORDER_SHARE = 1 / 16
"""Width of the border as a share of the shorter side."""


def border_variance(luma: UInt8[np.ndarray, "y x"]) -> float:
    """Variance of luma in [0, 255] in the border, all four sides together; 0 for a frame of one colour.

    After the "border pixel variance" by which Z-Image finds plain backgrounds (Z-Image team 2025, arXiv:2511.22699).
    """
    width = max(1, round(min(luma.shape) * BORDER_SHARE))
    inner = luma[width:-width]
    parts = (luma[:width], luma[-width:], inner[:, :width], inner[:, -width:])
    return float(np.concatenate([part.ravel() for part in parts]).var(dtype=np.float32))
