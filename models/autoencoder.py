"""Convolutional autoencoder with residual down- and upsampling: squares of 8 to 64 pixels to a few smooth channels, and back.

Choices:

* Space-to-channel shortcuts around every resampling (DC-AE, Chen et al. 2024, arXiv:2410.10733, section 3.2): what a block
  adds is a correction to a rearrangement that loses nothing.
* No Kullback-Leibler term: noise of fixed strength on unit-variance latents during training makes neighbouring latents
  decode alike. A generator learns such latents in far fewer steps than sharp ones with a KL of 1e-6.
* Nothing looks farther than its neighbourhood: norms are taken at every position alone and there is no attention. So tiles
  of a large picture are drawn as the whole would be, and what was learnt on small pictures holds on large ones. Beside group norm
  that costs 0.1 dB at 64 px.
* Latents leave this module normalised per channel; the statistics are buffers and travel with the weights.

b pictures · c channels · y, x rows and columns
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Annotated

import torch
from annotated_types import Gt
from einops import rearrange
from jaxtyping import Float
from pydantic import BaseModel, model_validator
from torch import Tensor, nn

from models.convolutions import Conv, Down, PixelNorm, ResidualBlock, Up
from models.tiles import Span, Tile, tiles

Positive = Annotated[int, Gt(0)]


TILE_PX = 1024
"""Side of the largest square that is encoded and decoded whole, and of the tiles of larger pictures."""

_TILED_LEVELS = 2
"""Finest levels that are passed in tiles: a tile of 1024 px then draws a quarter more pixels than it keeps, in half of the work.
What is left to be whole, an eighth of the side and coarser, has a fifteenth of the values."""

_RETOUCH_REACH_PX = 3
"""Three convolutions of 3 x 3."""


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

    @property
    def num_fine(self) -> int:
        """Finest levels that large pictures pass in tiles."""
        return min(_TILED_LEVELS, len(self.widths) - 1)

    @property
    def encoder_halo(self) -> int:
        """Latent cells around a tile on which its way through the finest levels of the encoder depends."""
        cells = 0                                                    # of the level that is looked at
        for num_blocks in reversed(self.encoder_blocks[: self.num_fine]):
            cells = 2 * cells + 2 * num_blocks
        return math.ceil((cells + 1) * self.patch / self.factor)     # 1: the convolution that begins

    @property
    def decoder_halo(self) -> int:
        """Latent cells around a tile on which its way through the finest levels of the decoder depends."""
        cells = math.ceil(_RETOUCH_REACH_PX / self.patch) + 1        # 1: the convolution that ends
        for num_blocks in self.decoder_blocks[: self.num_fine]:
            cells = math.ceil((cells + 2 * num_blocks) / 2)
        return math.ceil(cells / 2 ** (len(self.widths) - 1 - self.num_fine))


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


class Encoder(nn.Module):
    """Pictures to latents; `levels` in the order of `AutoencoderConfig.widths`, each but the last halving the side at its end."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths = config.widths
        self.num_fine = config.num_fine
        self.start = nn.Sequential(nn.PixelUnshuffle(config.patch), Conv(3 * config.patch**2, widths[0], 3))
        self.levels = nn.ModuleList()
        for level, num_blocks in enumerate(config.encoder_blocks):
            blocks = [ResidualBlock(widths[level]) for _ in range(num_blocks)]
            down = [Down(widths[level], widths[level + 1])] if level + 1 < len(widths) else []
            self.levels.append(nn.Sequential(*blocks, *down))
        self.finish = nn.Sequential(PixelNorm(widths[-1]), nn.SiLU(), Conv(widths[-1], config.latent_channels, 1))

    def forward(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b c y2 x2"]:
        return self.finish(self.coarse(self.fine(images)))

    def fine(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b c y2 x2"]:
        """Through the levels where pixels are many."""
        x = self.start(images)
        for level in self.levels[: self.num_fine]:
            x = level(x)
        return x

    def coarse(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c2 y2 x2"]:
        """On to the features that latents are made of."""
        for level in self.levels[self.num_fine :]:
            x = level(x)
        return x


class Decoder(nn.Module):
    """Latents to pictures; `levels` in the order of `AutoencoderConfig.widths`, each but the last doubling the side first."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths = config.drawing
        self.num_fine = config.num_fine
        self.start = Conv(config.latent_channels, widths[-1], 3)
        self.levels = nn.ModuleList()
        for level, num_blocks in enumerate(config.decoder_blocks):
            up = [Up(widths[level + 1], widths[level])] if level + 1 < len(widths) else []
            self.levels.append(nn.Sequential(*up, *[ResidualBlock(widths[level]) for _ in range(num_blocks)]))
        last = Conv(widths[0], 3 * config.patch**2, 3)
        self.finish = nn.Sequential(PixelNorm(widths[0]), nn.SiLU(), last, nn.PixelShuffle(config.patch))

    def forward(self, latents: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 y2 x2"]:
        return self.fine(self.coarse(latents))

    def coarse(self, latents: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c2 y2 x2"]:
        """Up to the levels where pixels are many."""
        x = self.start(latents)
        for level in reversed(self.levels[self.num_fine :]):
            x = level(x)
        return x

    def fine(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 y2 x2"]:
        """The rest of the way."""
        for level in reversed(self.levels[: self.num_fine]):
            x = level(x)
        return self.finish(x)


class Autoencoder(nn.Module):
    """`encode` gives normalised latents, `decode` takes them; pictures are in [-1, 1], NCHW, RGB.

    Pictures above `TILE_PX` squared go through the finest levels in tiles, which agree with the whole up to rounding: memory
    grows by the picture itself and by its coarse levels alone.
    """

    latent_mean: Float[Tensor, " c"]
    latent_std: Float[Tensor, " c"]

    def __init__(self, config: AutoencoderConfig, *, tile_px: int = TILE_PX) -> None:
        super().__init__()
        self.config, self.tile_px = config, tile_px
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
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
        raw = self.raw_latent(images) if self._is_whole(height * width) else self._raw_latent_by_tiles(images)
        return (raw - self._per_channel(self.latent_mean)) / self._per_channel(self.latent_std)

    def decode(self, latents: Float[Tensor, "b c y2 x2"]) -> Float[Tensor, "b 3 y x"]:
        """Pictures from normalised latents, clamped to [-1, 1]."""
        raw = latents * self._per_channel(self.latent_std) + self._per_channel(self.latent_mean)
        num_px = raw.shape[2] * raw.shape[3] * self.config.factor**2
        drawn = self.decode_raw(raw) if self._is_whole(num_px) else self._decode_raw_by_tiles(raw)
        return drawn.float().clamp(-1, 1)

    def raw_latent(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b c y2 x2"]:
        """Latents as the encoder gives them: what training regularises and takes the statistics of."""
        return self.raw_latent_and_features(images)[0]

    def raw_latent_and_features(
        self, images: Float[Tensor, "b 3 y x"]
    ) -> tuple[Float[Tensor, "b c y2 x2"], Float[Tensor, "b c2 y2 x2"]]:
        """The same, with the features that the encoder makes them of."""
        features = self.encoder.coarse(self.encoder.fine(images))
        return (self.linear_in(images) + self.encoder.finish(features)).float(), features

    def decode_raw(self, latents: Float[Tensor, "b c y2 x2"]) -> Float[Tensor, "b 3 y x"]:
        """Pictures from latents as the encoder gives them, not clamped."""
        return self._draw(latents, self.decoder.coarse(latents))

    def _draw(self, latents: Float[Tensor, "b c y2 x2"], coarse: Float[Tensor, "b c2 y3 x3"]) -> Float[Tensor, "b 3 y x"]:
        drawn = self.linear_out(latents) + self.decoder.fine(coarse)
        return drawn + self.retouch(drawn.contiguous(memory_format=torch.channels_last))  # a third of the time of NCHW on CPUs

    def _is_whole(self, num_px: int) -> bool:
        return num_px <= self.tile_px**2

    def _tiles(self, height: int, width: int, *, halo: int) -> Iterator[Tile]:
        """Tiles in cells of latents."""
        return tiles(height, width, side=max(1, self.tile_px // self.config.factor), halo=halo)

    def _decode_raw_by_tiles(self, latents: Float[Tensor, "b c y2 x2"]) -> Float[Tensor, "b 3 y x"]:
        num, factor, coarse = len(latents), self.config.factor, self.decoder.coarse(latents)
        height, width = latents.shape[2:]
        scale = coarse.shape[2] // height
        whole = torch.empty(num, 3, height * factor, width * factor, device=latents.device)
        for y, x in self._tiles(height, width, halo=self.config.decoder_halo):
            seen = self._draw(latents[..., y.seen(1), x.seen(1)], coarse[..., y.seen(scale), x.seen(scale)])
            whole[..., y.kept(factor), x.kept(factor)] = seen[..., y.inside(factor), x.inside(factor)]
        return whole

    def _raw_latent_by_tiles(self, images: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b c y2 x2"]:
        factor, latents = self.config.factor, self.linear_in(images)
        scale = 2 ** (len(self.config.widths) - 1 - self.config.num_fine)
        rows: dict[Span, list[Tensor]] = defaultdict(list)
        for y, x in self._tiles(*latents.shape[2:], halo=self.config.encoder_halo):
            seen = self.encoder.fine(images[..., y.seen(factor), x.seen(factor)])
            rows[y].append(seen[..., y.inside(scale), x.inside(scale)])
        fine = torch.cat([torch.cat(row, dim=3) for row in rows.values()], dim=2)
        return (latents + self.encoder.finish(self.encoder.coarse(fine))).float()

    @torch.no_grad()
    def take_statistics(self, raw: Float[Tensor, "b c y2 x2"]) -> None:
        """Set the per-channel mean and standard deviation from raw latents of the training pictures."""
        self.latent_mean.copy_(raw.mean((0, 2, 3)))
        self.latent_std.copy_(raw.std((0, 2, 3)).clamp_min(1e-6))

    @staticmethod
    def _per_channel(values: Float[Tensor, " c"]) -> Float[Tensor, "1 c 1 1"]:
        return rearrange(values, "c -> 1 c 1 1")


def _retouch(width: int) -> nn.Sequential:
    last = Conv(width, 3, 3)
    nn.init.zeros_(last.weight)
    return nn.Sequential(Conv(3, width, 3), nn.SiLU(), Conv(width, width, 3), nn.SiLU(), last)
