"""What makes neighbouring latents decode alike: noise of fixed strength, or the posterior of a variational autoencoder.

Noise is the default: a generator learns such latents in far fewer steps than sharp ones with a weak divergence. The posterior is
Kingma & Welling's (2013, arXiv:1312.6114): a mean, which is the latent that is kept, and a variance of its own for every value.

b pictures · c channels · y, x rows and columns
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float
from pydantic import BaseModel, Field
from torch import Tensor, nn

from models.convolutions import Conv, PixelNorm

_LOG_VARIANCE = (-20.0, 10.0)
_FIRST_LOG_VARIANCE = -4.0
"""Before training: noise that a fresh decoder can see past."""


class NoiseConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Noise of fixed strength."""

    kind: Literal["noise"] = "noise"
    strength: Annotated[float, Ge(0.0)]
    """Standard deviation while training, as a share of each channel's own in the batch."""
    pull: Annotated[float, Ge(0.0)]
    """Weight of the mean squared latent."""


class KlConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Noise as strong as the encoder says."""

    kind: Literal["kl"] = "kl"
    weight: Annotated[float, Gt(0.0)]
    """Weight of the divergence from a unit Gaussian, in nats a value of the latent."""


SmoothnessConfig = Annotated[NoiseConfig | KlConfig, Field(discriminator="kind")]


class Spread(nn.Sequential):
    """Log-variances of the posterior, from the encoder's last features; needed in training alone."""

    def __init__(self, width: int, latent_channels: int) -> None:
        last = Conv(width, latent_channels, 1)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, _FIRST_LOG_VARIANCE)
        super().__init__(PixelNorm(width), nn.SiLU(), last)


def smoothed(
    raw: Float[Tensor, "b c y x"], features: Float[Tensor, "b c2 y x"], noise: Float[Tensor, "b c y x"],
    config: SmoothnessConfig, spread: Spread | None,
) -> tuple[Float[Tensor, "b c y x"], Float[Tensor, ""]]:  # fmt: skip
    """Latents as the decoder is given them in training, and the penalty on them.

    Args:
        raw: latents as the encoder gives them.
        features: what the encoder makes them of.
        noise: unit Gaussian.
        spread: of the posterior, where there is one.
    """
    match config:
        case NoiseConfig():
            share = raw.detach().std((0, 2, 3), keepdim=True)        # a share of it: larger latents do not drown the noise
            return raw + config.strength * share * noise, config.pull * raw.square().mean()
        case KlConfig():
            assert spread is not None, "a posterior without a spread"
            log_variance = spread(features).float().clamp(*_LOG_VARIANCE)
            divergence = 0.5 * (raw.square() + log_variance.exp() - 1 - log_variance).mean()
            return raw + torch.exp(0.5 * log_variance) * noise, config.weight * divergence
