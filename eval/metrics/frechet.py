"""Fréchet distance between two sets of features, each seen as one Gaussian (Dowson & Landau 1982; Heusel et al. 2017).

On EfficientNet-lite0 features it is called `frechet_lite0`. It is never called FID: that name belongs to Inception features, and
the numbers cannot be compared. Small sets read high, so only sets of one size are compared.

The trace of the square root of the covariances' product is the nuclear norm of the cross product of the centred features. With n
pictures that is one n x n singular value decomposition, exact also where n is smaller than the number of features; the root of a
1,280 x 1,280 matrix of low rank is slow and unstable.

n, m pictures · f features
"""

import numpy as np
from jaxtyping import Float


def frechet_distance(first: Float[np.ndarray, "n f"], second: Float[np.ndarray, "m f"]) -> float:
    """Squared Fréchet distance |mean difference|² + trace(A + B - 2 (A B)^½); 0 for equal sets.

    Raises:
        ValueError: a set has fewer than two pictures, so it has no covariance.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"a Fréchet distance needs at least 2 pictures in each set, got {len(first)} and {len(second)}")
    a, b = _scaled(first), _scaled(second)
    between = np.square(first.mean(0, dtype=np.float64) - second.mean(0, dtype=np.float64)).sum()
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return max(0.0, float(between + np.square(a).sum() + np.square(b).sum() - 2 * shared))


def _scaled(features: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n f"]:
    """X such that XᵀX is the covariance."""
    wide = features.astype(np.float64)
    return (wide - wide.mean(0)) / np.sqrt(len(wide) - 1)
