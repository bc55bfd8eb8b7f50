"""How well pictures come back: pixels, structure, and what a network sees.

* PSNR of every picture, averaged; no better than what rounding to 8 bits allows, so that an exact picture counts, too.
* SSIM (Wang et al. 2004): 11 x 11 windows weighed by a Gaussian of 1.5 pixels, each colour by itself, windows that leave the
  picture left out.
* Fréchet distance on EfficientNet-lite0 features of squares of at most `TILE_PX` at the pictures' own size, on the diagonal:
  seen whole, a large picture would be reduced first, and what was lost in it would not be seen.

n pictures · f features · y, x pixels, _ any
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from eval.metrics.frechet import frechet_distance
from models.perception.efficientnet import LiteFeatures

Picture = UInt8[np.ndarray, "_ _ 3"]

TILE_PX = 256
_ROUNDING = 1 / 12
"""Mean squared error of rounding, in squared steps of 8 bits."""
_WINDOW, _SIGMA = 11, 1.5
_STEADY = ((0.01 * 255) ** 2, (0.03 * 255) ** 2)


class Fidelity(NamedTuple):
    """Of one picture."""

    psnr_db: float
    ssim: float


class Reconstruction(NamedTuple):
    """Scores of a set of pictures."""

    each: tuple[Fidelity, ...]
    """In the order of the pictures."""
    frechet_lite0: float
    """Comparable between sets of the same pictures alone."""


class Originals:
    """Pictures that others are held against; what a network sees of them is kept."""

    def __init__(self, pictures: Sequence[Picture]) -> None:
        """See them.

        Args:
            pictures: two or more; of each are seen squares of the size of the smallest side, at most of `TILE_PX`.
        """
        self._pictures = list(pictures)
        self._side_px = min(TILE_PX, *(side for one in pictures for side in one.shape[:2]))
        self._network = LiteFeatures.load(view_px=self._side_px, input_px=max(128, self._side_px))
        self._features = self._seen(self._pictures)

    def compare(self, shown: Sequence[Picture]) -> Reconstruction:
        """Scores of what they came back as, in the same order.

        Raises:
            ValueError: the numbers or shapes differ, there are fewer than two, or one is smaller than a window of SSIM.
        """
        shapes, others = [one.shape for one in self._pictures], [one.shape for one in shown]
        if shapes != others:
            raise ValueError(f"pictures must come back in their own number and shapes, expected {shapes[:3]}, got {others[:3]}")
        pairs = zip(self._pictures, shown, strict=True)
        each = tuple(Fidelity(psnr_db(one, other), ssim(one, other)) for one, other in pairs)
        return Reconstruction(each, frechet_distance(self._features, self._seen(shown)))

    def _seen(self, pictures: Sequence[Picture]) -> Float[np.ndarray, "n f"]:
        return self._network.of_pixels(np.stack(_squares(pictures, self._side_px)))


def psnr_db(real: Picture, shown: Picture) -> float:
    """Peak signal-to-noise ratio over all pixels and colours, in decibels."""
    error = float(np.square(real.astype(np.float64) - shown).mean())
    return 10 * math.log10(255**2 / max(error, _ROUNDING))


def ssim(real: Picture, shown: Picture) -> float:
    """Structural similarity, 1 for equal pictures.

    Raises:
        ValueError: a side is smaller than a window.
    """
    if min(real.shape[:2]) < _WINDOW:
        raise ValueError(f"SSIM needs sides of at least {_WINDOW} px, got {real.shape[0]} x {real.shape[1]}")
    a, b = (torch.from_numpy(np.array(one)).permute(2, 0, 1)[:, None].float() for one in (real, shown))
    mean_a, mean_b = _smoothed(a), _smoothed(b)
    variance_a, variance_b = _smoothed(a * a) - mean_a**2, _smoothed(b * b) - mean_b**2
    shared = _smoothed(a * b) - mean_a * mean_b
    low, high = _STEADY
    alike = (2 * mean_a * mean_b + low) * (2 * shared + high)
    return float((alike / ((mean_a**2 + mean_b**2 + low) * (variance_a + variance_b + high))).mean())


def _smoothed(x: Float[Tensor, "n 1 y x"]) -> Float[Tensor, "n 1 y2 x2"]:
    offsets = torch.arange(_WINDOW, dtype=x.dtype) - _WINDOW // 2
    weights = torch.exp(-0.5 * (offsets / _SIGMA) ** 2)
    weights = weights / weights.sum()
    return functional.conv2d(functional.conv2d(x, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))


def _squares(pictures: Sequence[Picture], side_px: int) -> list[Picture]:
    found = []
    for picture in pictures:
        starts = range(0, min(picture.shape[:2]) - side_px + 1, side_px)
        found += [picture[start : start + side_px, start : start + side_px] for start in starts]
    return found
