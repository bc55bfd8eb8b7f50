"""How much fine detail a picture has at the common size of `curation.signals.view`.

y, x pixels
"""

import numpy as np
from jaxtyping import UInt8

VERSION = 1
"""Raised when the number changes."""


def laplacian_variance(luma: UInt8[np.ndarray, "y x"]) -> float:
    """Variance of the 4-neighbour Laplacian of luma in [0, 255] (Pech-Pacheco et al. 2000); 0 below 3 x 3 pixels.

    In whole numbers of 16 bits, which cannot overflow: a Laplacian lies in [-1020, 1020].
    """
    if min(luma.shape) < 3:
        return 0.0
    wide = luma.astype(np.int16)
    laplacian = wide[1:-1, 1:-1] * 4
    for neighbour in (wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:]):
        laplacian -= neighbour
    flat = laplacian.astype(np.float32).ravel()
    mean = float(flat.mean(dtype=np.float64))
    return max(0.0, float(np.dot(flat, flat)) / flat.size - mean * mean)
