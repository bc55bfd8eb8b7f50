"""An adversary for the decoder: a critic that tells patches of drawn pictures from real ones, in an update of its own.

Choices:

* Hinge losses (Lim & Ye 2017, arXiv:1705.02894) on a map of scores, one a patch of 52 px (Isola et al. 2017, arXiv:1611.07004).
* The critic normalises every position alone, like the autoencoder: scores depend on no other patch, picture or worker. Rejected:
  batch norm, which depends on all of them, and spectral norm, whose estimates move with every pass and so differ between workers.
* What keeps it smooth is a penalty on how scores move when real pictures get a little noise, an estimate of R1 without a second
  derivative (Lin et al. 2025, arXiv:2501.08316, eq. 5), which works under every engine.
* A fixed weight. Rejected: Esser et al.'s ratio of gradients at the last layer (arXiv:2012.09841, eq. 7), which needs a
  gradient in the middle of a pass and makes the weight of a picture depend on the others of its pack.
* Warming up is a stage of the plan in which all of the autoencoder is frozen: the critic learns alone, and no step is counted.

b pictures · y, x rows and columns
"""

from typing import Annotated

from annotated_types import Ge, Gt
from jaxtyping import Float
from pydantic import BaseModel
from torch import Tensor, nn

from models.convolutions import Conv, PixelNorm
from train.objectives.contract import Phase

CRITIC = Phase("critic")
NOISE = 0.01
"""Standard deviation of the noise that scores are to be steady under, of pictures in [-1, 1]."""


class AdversaryConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The critic, and how much it is listened to."""

    width: Annotated[int, Gt(0)] = 64
    """Channels at half of the pictures' side; twice as many at each of the two halvings that follow."""
    weight: Annotated[float, Gt(0.0)]
    """Weight of its scores in the decoder's loss."""
    smoothness: Annotated[float, Ge(0.0)] = 100.0
    """Weight of the squared difference that a little noise makes to scores of real pictures."""
    rate: Annotated[float, Gt(0.0)] = 1.0
    """Factor on the optimizer's rate."""


class PatchCritic(nn.Sequential):
    """Pictures to scores of overlapping patches at an eighth of their side; above 0 it holds them for real."""

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for level in range(3):
            wider = width * 2**level
            layers += [nn.PixelUnshuffle(2), Conv(4 * channels, wider, 3), *([PixelNorm(wider)] if level else []), nn.SiLU()]
            channels = wider
        super().__init__(*layers, Conv(channels, 1, 3))


def critic_loss(real: Float[Tensor, "b 1 y x"], drawn: Float[Tensor, "b 1 y x"]) -> Float[Tensor, ""]:
    """What the critic descends: scores of real patches above 1, of drawn ones below -1."""
    return (1 - real).relu().mean() + (1 + drawn).relu().mean()


def roughness(real: Float[Tensor, "b 1 y x"], disturbed: Float[Tensor, "b 1 y x"]) -> Float[Tensor, ""]:
    """How scores move under `NOISE`, squared."""
    return (real - disturbed).square().mean()
