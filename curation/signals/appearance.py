"""How a picture looks, in three numbers that need no model.

Measured on the view that all signals share, at least `VIEW_SIDE_PX` on the shorter side where the picture has as much, and on
white where the number needs colours, so that a row means the same in every run.

y, x pixels · channels last
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, UInt8

from curation.signals.contract import VIEW_SIDE_PX, Batch, Signal, version_of
from curation.tables import APPEARANCE_SCHEMA

VERSION = 2
"""Raised when one of the numbers changes."""

LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""ITU-R BT.601 luma of R, G, B."""


def sharpness(rgb: UInt8[np.ndarray, "y x 3"]) -> float:
    """Variance of the 4-neighbour Laplacian of luma, luma in [0, 255] (Pech-Pacheco et al. 2000); 0 below 3 x 3 pixels."""
    if min(rgb.shape[:2]) < 3:
        return 0.0
    luma = _luma(rgb)
    centre = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * centre
    return float(laplacian.var())


def colourfulness(rgb: UInt8[np.ndarray, "y x 3"]) -> float:
    """Colourfulness M^(3) of Hasler & Suesstrunk 2003; 0 for grey, about 100 for vivid pictures."""
    red, green, blue = np.moveaxis(rgb.astype(np.float32), -1, 0)
    red_green = red - green
    yellow_blue = (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    shift = np.hypot(red_green.mean(), yellow_blue.mean())
    return float(spread + 0.3 * shift)


def alpha_cover(alpha: UInt8[np.ndarray, "y x"] | None) -> float:
    """Share of pixels that are more opaque than not, in [0, 1]; 1 for an opaque picture, which has no alpha."""
    return 1.0 if alpha is None else float((alpha > 127).mean())


def _luma(rgb: UInt8[np.ndarray, "y x 3"]) -> Float32[np.ndarray, "y x"]:
    return rgb.astype(np.float32) @ LUMA_WEIGHTS


def compute(batch: Batch) -> dict[str, pa.Array]:
    """All three numbers."""
    values = {
        "sharpness": [sharpness(one.pixels) for one in batch.pictures],
        "colourfulness": [colourfulness(one.pixels) for one in batch.pictures],
        "alpha_cover": [alpha_cover(one.alpha) for one in batch.pictures],
    }
    return {name: pa.array(found, pa.float32()) for name, found in values.items()}


def _build() -> Callable[[Batch], dict[str, pa.Array]]:
    return compute


SIGNAL = Signal(
    name="appearance", version=version_of(appearance=VERSION, view_px=VIEW_SIDE_PX), inputs=("image",),
    outputs=APPEARANCE_SCHEMA, build=_build, takes_pictures=True,
)  # fmt: skip
"""Sharpness, colourfulness, alpha cover."""
