"""Representation alignment: in training, noisy tokens in the middle of the transformer are drawn to what a frozen network sees.

REPA (Yu et al. 2024, arXiv:2410.06940, eq. 8): the loss is the mean, over tokens, of minus the cosine between the network's
features at the token's place in the clean picture and a projection of the token. The projection is thrown away with the training.
What a picture shows is learnt sooner; where detail is all that is left to learn it holds up, so it is for the first part of a
training.

The network (`models.perception.perceptual`) is shown the picture at `patch_px` pixels a latent cell, and its coarsest features
are interpolated to the latent's cells. Tokens that are routed past the block in question have no part in the loss.

f feature width · k channels of a folded patch · y, x latent rows and columns · n tokens
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Gt
from einops import rearrange
from jaxtyping import Float
from pydantic import BaseModel
from torch import Tensor, nn
from torch.nn import functional

from models.convolutions import unfold
from models.perception.perceptual import BackboneConfig, build_backbone

Positive = Annotated[int, Gt(0)]


class RepaConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is aligned with what."""

    backbone: BackboneConfig
    """The frozen network; its last feature map is what tokens are drawn to."""
    patch_px: Positive
    """Side of the square of pixels that it is shown for every latent cell: its stride, for a feature of its own for each."""
    block: Positive
    """Blocks that noisy tokens have gone through; a third of them is usual."""
    hidden: Positive = 2048
    """Width inside the projector."""
    weight: Annotated[float, Gt(0.0)] = 0.5
    """Weight of the loss beside the flow's."""


class UnfitBlock(ValueError):
    """The transformer has no such block."""


def require_block(config: RepaConfig, *, depth: int) -> None:
    """Refuse a block that the transformer does not have.

    Raises:
        UnfitBlock: says how many there are.
    """
    if config.block > depth:
        raise UnfitBlock(f"repa.block={config.block}, but the transformer has {depth} blocks; name one of them")


class Projector(nn.Sequential):
    """Three layers from tokens to features; used in training alone."""

    def __init__(self, width: int, hidden: int, feature_width: int) -> None:
        super().__init__(
            nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, feature_width)
        )


class Teacher(nn.Module):
    """The frozen network, giving a feature for every latent cell."""

    def __init__(self, config: RepaConfig) -> None:
        super().__init__()
        self.backbone, self.patch_px = build_backbone(config.backbone), config.patch_px
        self.requires_grad_(False).eval()
        with torch.no_grad():
            self.width = self.backbone(torch.zeros(1, 3, 64, 64))[-1].shape[1]

    @torch.no_grad()
    def forward(self, patches: Sequence[Float[Tensor, "k _ _"]]) -> Float[Tensor, "n f"]:
        """Features of all cells of pictures that `models.convolutions.fold` folded, picture after picture, row after row."""
        alike: dict[torch.Size, list[int]] = defaultdict(list)
        for number, picture in enumerate(patches):
            alike[picture.shape].append(number)
        found: dict[int, Float[Tensor, "k f"]] = {}
        for (_, height, width), numbers in alike.items():
            pictures = unfold(torch.stack([patches[number] for number in numbers]), self.patch_px)
            features = functional.interpolate(self.backbone(pictures)[-1], (height, width), mode="bilinear", antialias=True)
            found.update(zip(numbers, rearrange(features, "b f y x -> b (y x) f"), strict=True))
        return torch.cat([found[number] for number in range(len(patches))])


def alignment(projected: Float[Tensor, "n f"], features: Float[Tensor, "n f"]) -> Float[Tensor, " n"]:
    """Cosine of every token's projection and its features, in [-1, 1]."""
    return functional.cosine_similarity(projected.float(), features.float(), dim=1)
