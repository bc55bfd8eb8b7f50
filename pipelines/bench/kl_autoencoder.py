"""The f8 autoencoder of the generation before, as far as its operations go: what `flops` compares with.

Latent diffusion's (Rombach et al. 2022, arXiv:2112.10752, as published with Stable Diffusion 3): 128, 256, 512 and 512 channels
from full resolution down, two residual blocks at each for encoding and three for decoding, two more at the bottom. The attention
at the bottom, which is cut into tiles for large pictures, is left out.
"""

from itertools import pairwise

from torch import Tensor, nn

WIDTHS = (128, 256, 512, 512)
FACTOR = 8
_KERNEL = 9


class KLAutoencoder(nn.Module):
    """Pictures to latents, and back."""

    def __init__(self, latent_channels: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(*_encoder(latent_channels))
        self.decoder = nn.Sequential(*_decoder(latent_channels))

    def forward(self, pictures: Tensor) -> Tensor:
        """Encoded (mean and variance; the mean is taken) and decoded again."""
        return self.decoder(self.encoder(pictures).chunk(2, 1)[0])


class _Residual(nn.Module):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first, self.second = _conv(channels_in, channels_out), _conv(channels_out, channels_out)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.second(self.first(x))


def flops_per_pixel(latent_channels: int) -> tuple[float, float]:
    """Forward operations a pixel of encoding and of decoding, by arithmetic."""
    ends, bottom = 3 * _KERNEL * WIDTHS[0], _cell(3) * _KERNEL * WIDTHS[-1] * latent_channels
    middle = _cell(3) * 2 * _residual(WIDTHS[-1], WIDTHS[-1])
    down = _levels(WIDTHS, 2) + sum(_cell(level + 1) * _KERNEL * width**2 for level, width in enumerate(WIDTHS[:-1]))
    up = _levels(WIDTHS, 3, is_decoding=True) + sum(
        _cell(level) * _KERNEL * width**2 for level, width in enumerate(WIDTHS[1:])
    )
    return 2.0 * (ends + down + middle + 2 * bottom), 2.0 * (ends + up + middle + bottom)


def _levels(widths: tuple[int, ...], num_blocks: int, *, is_decoding: bool = False) -> float:
    """Multiply-adds a pixel of the residual blocks; the first of a level takes the channels of the level before."""
    before = [*widths[1:], widths[-1]] if is_decoding else [widths[0], *widths[:-1]]
    return sum(
        _cell(level) * (_residual(source, width) + (num_blocks - 1) * _residual(width, width))
        for level, (source, width) in enumerate(zip(before, widths, strict=True))
    )


def _cell(level: int) -> float:
    return 0.25**level


def _residual(channels_in: int, channels_out: int) -> int:
    return _KERNEL * channels_out * (channels_in + channels_out) + (channels_in != channels_out) * channels_in * channels_out


def _conv(channels_in: int, channels_out: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1)


def _encoder(latent_channels: int) -> list[nn.Module]:
    layers: list[nn.Module] = [_conv(3, WIDTHS[0]), _Residual(WIDTHS[0], WIDTHS[0]), _Residual(WIDTHS[0], WIDTHS[0])]
    for above, width in pairwise(WIDTHS):
        layers += [_conv(above, above, stride=2), _Residual(above, width), _Residual(width, width)]
    return [*layers, *(_Residual(WIDTHS[-1], WIDTHS[-1]) for _ in range(2)), _conv(WIDTHS[-1], 2 * latent_channels)]


def _decoder(latent_channels: int) -> list[nn.Module]:
    layers: list[nn.Module] = [_conv(latent_channels, WIDTHS[-1]), *(_Residual(WIDTHS[-1], WIDTHS[-1]) for _ in range(5))]
    for below, width in pairwise(reversed(WIDTHS)):
        layers += [nn.Upsample(scale_factor=2), _conv(below, below)]
        layers += [_Residual(below, width), *(_Residual(width, width) for _ in range(2))]
    return [*layers, _conv(WIDTHS[0], 3)]
