"""How bright a picture is and how its brightness is spread, read off a histogram.

v values
"""

from collections.abc import Sequence

import numpy as np

VERSION = 1
"""Raised when one of the numbers changes."""


def luma_mean(histogram: Sequence[int]) -> float:
    """Mean luma, in [0, 255], of a histogram over its 256 values."""
    counts = np.asarray(histogram, dtype=np.float64)
    return float(counts @ np.arange(len(counts)) / counts.sum())


def luma_entropy(histogram: Sequence[int]) -> float:
    """Shannon entropy of luma in bits: 0 for one flat tone, at most 8 (Shannon 1948)."""
    counts = np.asarray(histogram, dtype=np.float64)
    shares = counts[counts > 0] / counts.sum()
    return max(0.0, float(-(shares @ np.log2(shares))))
