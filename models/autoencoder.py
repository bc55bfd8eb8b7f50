"""Convolutional autoencoder with residual down- and upsampling: squares of 8 to 64 pixels to a few smooth channels, and back.

Choices:

* Space-to-channel shortcuts around every resampling (DC-AE, Chen et al. 2024, arXiv:2410.10733, section 3.2): what a block
  adds is a correction to a rearrangement that loses nothing.
* No Kullback-Leibler term: noise of fixed strength on unit-variance latents during training makes neighbouring latents
  decode alike. A generator learns such latents in far fewer steps than sharp ones with a KL of 1e-6.
* Latents leave this module normalised per channel; the statistics are buffers and travel with the weights.

b pictures · c channels · y, x rows and columns
"""

import math
from typing import Annotated

import torch
from annotated_types import Gt
from einops import rearrange, reduce, repeat
from jaxtyping import Float
from pydantic import BaseModel, model_validator
from torch import Tensor, nn
from torch.nn import functional

Positive = Annotated[int, Gt(0)]


class AutoencoderConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Shape of the autoencoder."""

    patch: Positive
    """Side of the pixel squares folded into channels before the first convolution, and unfolded after the last."""
    widths: tuple[Positive, ...]
    """Channels at each resolution; each after the first has half the side of the one before."""
    decoder_widths: tuple[Positive, ...] | None = None
    """Channels of the decoder, in the order of `widths`, where they are others."""
    encoder_blocks: tuple[Positive, ...]
    """Residual blocks of the encoder at each resolution."""
    decoder_blocks: tuple[Positive, ...]
    """Residual blocks of the decoder at each resolution, in the order of `widths`."""
    latent_channels: Positive
    """Channels of the latent."""
    retouch_width: Positive
    """Channels of the small network that corrects the drawn picture pixel by pixel: what is drawn square by square shows seams
    and weaves, which only somebody who sees neighbouring pixels can take out."""

    @model_validator(mode="after")
    def _levels_match(self) -> "AutoencoderConfig":
        if len({len(self.widths), len(self.encoder_blocks), len(self.decoder_blocks), len(self.drawing)}) > 1:
            raise ValueError("widths, decoder_widths, encoder_blocks and decoder_blocks must be equally long")
        return self

    @property
    def drawing(self) -> tuple[int, ...]:
        """Channels of the decoder, in the order of `widths`."""
        return self.decoder_widths or self.widths

    @property
    def factor(self) -> int:
        """Pixels a side that become one latent cell."""
        return self.patch * 2 ** (len(self.widths) - 1)


def tiny(*, latent_channels: int = 16) -> AutoencoderConfig:
    """f16 for 64 px pictures on two CPU cores: nothing runs at full resolution, where a convolution costs most."""
    return AutoencoderConfig(
        patch=4, widths=(48, 96, 192), encoder_blocks=(1, 1, 1), decoder_blocks=(2, 2, 2), latent_channels=latent_channels,
        retouch_width=16,
    )  # fmt: skip


def f8(*, latent_channels: int = 16) -> AutoencoderConfig:
    """About 32 M parameters, 64 latents a side for 512 px: where detail counts more than tokens."""
    return _production((128, 256, 512), (3, 4, 4), latent_channels=latent_channels)


def f16(*, latent_channels: int = 32) -> AutoencoderConfig:
    """About 93 M parameters, 32 latents a side for 512 px."""
    return _production((128, 256, 512, 1024), (3, 4, 4, 2), latent_channels=latent_channels)


def f32(*, latent_channels: int = 32) -> AutoencoderConfig:
    """About 158 M parameters, 16 latents a side for 512 px: the default from 1K to 4K, where 4,096 tokens are a picture of 2K."""
    return _production((128, 256, 512, 1024, 1024), (3, 4, 4, 2, 2), latent_channels=latent_channels)


def f64(*, latent_channels: int = 128) -> AutoencoderConfig:
    """About 407 M parameters, 8 latents a side for 512 px: for the largest pictures."""
    return _production((128, 256, 512, 1024, 1024, 2048), (3, 4, 4, 2, 2, 2), latent_channels=latent_channels)


def slim(config: AutoencoderConfig) -> AutoencoderConfig:
    """The same encoder and latents with a decoder half as wide where pixels are many (Seedance 1.0, arXiv:2506.09113)."""
    thin = tuple(width // 2 if level < _MANY_PIXELS else width for level, width in enumerate(config.widths))
    return AutoencoderConfig(**{**config.model_dump(), "decoder_widths": thin})


_MANY_PIXELS = 2
"""Finest levels of a decoder, which take most of its operations."""


def _production(widths: tuple[int, ...], decoder_blocks: tuple[int, ...], *, latent_channels: int) -> AutoencoderConfig:
    """One block a level encodes: encoders a sixth as large lose nothing (LiteVAE, Sadat et al. 2024, arXiv:2405.14477)."""
    return AutoencoderConfig(
        patch=2, widths=widths, encoder_blocks=(1,) * len(widths), decoder_blocks=decoder_blocks,
        latent_channels=latent_channels, retouch_width=16,
    )  # fmt: skip


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


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around a SiLU, on normalised input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
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


class Autoencoder(nn.Module):
    """`encode` gives normalised latents, `decode` takes them; pictures are in [-1, 1], NCHW, RGB."""

    latent_mean: Float[Tensor, " c"]
    latent_std: Float[Tensor, " c"]

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _encoder(config)
        self.decoder = _decoder(config)
        self.linear_in = Conv(3, config.latent_channels, config.factor, stride=config.factor)
        self.retouch = _retouch(config.retouch_width)
        self.linear_out = nn.Sequential(Conv(config.latent_channels, 3 * config.factor**2, 1), nn.PixelShuffle(config.factor))
        self.register_buffer("latent_mean", torch.zeros(config.latent_channels))
        self.register_buffer("latent_std", torch.ones(config.latent_channels))

    def encode(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b c y2 x2"]:
        """Latents with zero mean and unit variance per channel over the data the statistics were taken from.

        Raises:
            ValueError: a side is not a multiple of the factor.
        """
        height, width = images.shape[2:]
        if height % self.config.factor or width % self.config.factor:
            raise ValueError(
                f"pictures of {height} x {width} px cannot be encoded: both sides must be multiples of {self.config.factor}"
            )
        return (self.raw_latent(images) - self._per_channel(self.latent_mean)) / self._per_channel(self.latent_std)

    def decode(self, latents: Float[Tensor, "b c y2 x2"]) -> Float[Tensor, "b 3 y x"]:
        """Pictures from normalised latents, clamped to [-1, 1]."""
        raw = latents * self._per_channel(self.latent_std) + self._per_channel(self.latent_mean)
        return self.decode_raw(raw).float().clamp(-1, 1)

    def raw_latent(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b c y2 x2"]:
        """Latents as the encoder gives them: what training regularises and takes the statistics of."""
        return (self.linear_in(images) + self.encoder(images)).float()

    def decode_raw(self, latents: Float[Tensor, "b c y2 x2"]) -> Float[Tensor, "b 3 y x"]:
        """Pictures from latents as the encoder gives them, not clamped."""
        drawn = self.linear_out(latents) + self.decoder(latents)
        return drawn + self.retouch(drawn.contiguous(memory_format=torch.channels_last))  # a third of the time of NCHW on CPUs

    @torch.no_grad()
    def take_statistics(self, raw: Float[Tensor, "b c y2 x2"]) -> None:
        """Set the per-channel mean and standard deviation from raw latents of the training pictures."""
        self.latent_mean.copy_(raw.mean((0, 2, 3)))
        self.latent_std.copy_(raw.std((0, 2, 3)).clamp_min(1e-6))

    @staticmethod
    def _per_channel(values: Float[Tensor, " c"]) -> Float[Tensor, "1 c 1 1"]:
        return rearrange(values, "c -> 1 c 1 1")


def _encoder(config: AutoencoderConfig) -> nn.Sequential:
    channels = config.widths[0]
    layers: list[nn.Module] = [nn.PixelUnshuffle(config.patch), Conv(3 * config.patch**2, channels, 3)]
    for width, num_blocks in zip(config.widths, config.encoder_blocks, strict=True):
        if len(layers) > 2:
            layers.append(Down(channels, width))
        layers += [ResidualBlock(width) for _ in range(num_blocks)]
        channels = width
    return nn.Sequential(*layers, _norm(channels), nn.SiLU(), Conv(channels, config.latent_channels, 1))


def _decoder(config: AutoencoderConfig) -> nn.Sequential:
    channels = config.drawing[-1]
    layers: list[nn.Module] = [Conv(config.latent_channels, channels, 3)]
    for width, num_blocks in zip(reversed(config.drawing), reversed(config.decoder_blocks), strict=True):
        if len(layers) > 1:
            layers.append(Up(channels, width))
        layers += [ResidualBlock(width) for _ in range(num_blocks)]
        channels = width
    last = Conv(channels, 3 * config.patch**2, 3)
    return nn.Sequential(*layers, _norm(channels), nn.SiLU(), last, nn.PixelShuffle(config.patch))


def _retouch(width: int) -> nn.Sequential:
    last = Conv(width, 3, 3)
    nn.init.zeros_(last.weight)
    return nn.Sequential(Conv(3, width, 3), nn.SiLU(), Conv(width, width, 3), nn.SiLU(), last)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(channels, max(1, channels // 16)), channels)
