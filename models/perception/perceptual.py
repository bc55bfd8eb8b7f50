"""How far two pictures are apart for a network: distance of unit-length features at several depths.

Zhang et al. 2018 (arXiv:1801.03924, eq. 1) with all weights 1: their learnt ones belong to networks that no package ships. The
network is EfficientNet-lite0, seen at the pictures' own size. It is also the one whose pooled last features evaluation measures
Fréchet distances by, so such a distance favours whatever was trained with this loss, and says less about it.

b pictures · c channels · y, x rows and columns
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from models.perception.efficientnet import LiteFeatures

DEPTHS = (0, 2, 4, 10)
"""Blocks after which features are compared: at 1/2, 1/4, 1/8 and 1/16 of the pictures' side."""


class PerceptualDistance(nn.Module):
    """The distance, differentiable in both pictures; its network is frozen and no part of anybody's parameters."""

    def __init__(self) -> None:
        super().__init__()
        self._lite = [LiteFeatures.load()]  # in a list: not a submodule, so not in state dictionaries

    def forward(self, images: Float[Tensor, "b 3 y x"], others: Float[Tensor, "b 3 y x"]) -> Float[Tensor, ""]:
        lite = self._lite[0]
        pairs = zip(lite.features_at(images, DEPTHS), lite.features_at(others, DEPTHS), strict=True)
        distances = [(_unit(ours) - _unit(theirs)).square().sum(1).mean() for ours, theirs in pairs]
        return torch.stack(distances).mean()


def _unit(features: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
    return functional.normalize(features.float(), dim=1, eps=1e-6)
