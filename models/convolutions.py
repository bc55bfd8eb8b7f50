"""Convolutional layers of the autoencoder: residual blocks on pixelwise norms, and resampling around shortcuts that lose nothing.

b pictures · c channels · y, x rows and columns
"""

import torch
from einops import rearrange, reduce, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


def fold(x: Float[Tensor, "b c y x"], side: int) -> Float[Tensor, "b c2 y2 x2"]:
    """Squares of `side` x `side` pixels become channels."""
    return rearrange(x, "b c (y p) (x q) -> b (c p q) y x", p=side, q=side)


def unfold(x: Float[Tensor, "b c y x"], side: int) -> Float[Tensor, "b c2 y2 x2"]:
    """The inverse of `fold`."""
    return rearrange(x, "b (c p q) y x -> b c (y p) (x q)", p=side, q=side)


def match_channels(x: Float[Tensor, "b c y x"], channels: int) -> Float[Tensor, "b c2 y x"]:
    """Average groups of channels or repeat them until there are `channels`; pad with zeros when neither divides."""
    present = x.shape[1]
    if present % channels == 0:
        return reduce(x, "b (c g) y x -> b c y x", "mean", c=channels)
    if channels % present == 0:
        return repeat(x, "b c y x -> b (c g) y x", g=channels // present)
    if present > channels:
        return x[:, :channels]
    return functional.pad(x, (0, 0, 0, 0, 0, channels - present))


class Conv(nn.Module):
    """A convolution whose kernel is kept as the matrix [outputs, inputs * side * side] that an optimizer may orthogonalise."""

    def __init__(self, channels_in: int, channels_out: int, side: int, *, stride: int = 1) -> None:
        super().__init__()
        self.shape = (channels_out, channels_in, side, side)
        self.stride, self.padding = stride, 0 if stride > 1 else side // 2
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in * side**2))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        nn.init.orthogonal_(self.weight)

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c2 y2 x2"]:
        return functional.conv2d(x, self.weight.view(self.shape), self.bias, stride=self.stride, padding=self.padding)


class PixelNorm(nn.Module):
    """Every position's channels by their root mean square, in fp32, with a learnt scale (Karras et al. 2018, arXiv:1710.10196).

    A mean over the picture, as a group norm takes, would let every pixel depend on every other: a tile would decode otherwise
    than the whole, and a large picture otherwise than the small ones of training.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        wide = x.float()
        gain = torch.rsqrt(wide.square().mean(1, keepdim=True) + 1e-6)
        return (wide * gain * rearrange(self.scale, "c -> c 1 1")).to(x.dtype)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around a SiLU, on normalised input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = PixelNorm(channels)
        self.first = Conv(channels, channels, 3)
        self.second = Conv(channels, channels, 3)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        return x + self.second(functional.silu(self.first(functional.silu(self.norm(x)))))


class Down(nn.Module):
    """Halve the side: a projection of folded pixels, beside a shortcut that only folds."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.channels_out = channels_out
        self.project = Conv(4 * channels_in, channels_out, 1)

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c2 y2 x2"]:
        folded = fold(x, 2)
        return self.project(folded) + match_channels(folded, self.channels_out)


class Up(nn.Module):
    """Double the side: the mirror of `Down`."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.channels_out = channels_out
        self.project = Conv(channels_in, 4 * channels_out, 1)

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c2 y2 x2"]:
        return unfold(self.project(x) + match_channels(x, 4 * self.channels_out), 2)
