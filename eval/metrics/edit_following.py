"""Did an edit do what was asked, and leave the rest alone?

Two views. By features: the result is nearer to the true target than to any of its references. By pixels: the error against the
target where the edit should have changed something, and where it should not have.

n edits · r references · f features · y, x pixels
"""

import numpy as np
from jaxtyping import Bool, Float

CHANGED = 0.1
"""A pixel belongs to the edit when a channel differs by more than this between reference and target (pictures in [-1, 1])."""


def follows(
    results: Float[np.ndarray, "n f"], targets: Float[np.ndarray, "n f"], references: Float[np.ndarray, "n r f"]
) -> Bool[np.ndarray, " n"]:
    """Whether each result is nearer (cosine) to its target than to every one of its references."""
    to_target = _cosine(results, targets)
    to_references = _cosine(results[:, None], references)
    return to_target > to_references.max(1)


def changed_region(reference: Float[np.ndarray, "3 y x"], target: Float[np.ndarray, "3 y x"]) -> Bool[np.ndarray, "y x"]:
    """Pixels that the edit has to change."""
    return np.abs(reference - target).max(0) > CHANGED


def error_inside(
    result: Float[np.ndarray, "3 y x"], target: Float[np.ndarray, "3 y x"], region: Bool[np.ndarray, "y x"]
) -> float:
    """Mean absolute error against the target within the region; NaN when it is empty."""
    return float(np.abs(result - target)[:, region].mean()) if region.any() else float("nan")


def _cosine(a: Float[np.ndarray, "*batch f"], b: Float[np.ndarray, "*other f"]) -> Float[np.ndarray, "..."]:
    return (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1) + 1e-12)
