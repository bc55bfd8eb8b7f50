"""Reconstruction of pictures through smooth latents.

Loss: L1 and squared error of pixels (the latter moves colours first) + L1 of their horizontal and vertical differences (edges
carry what a small picture shows) + the distance that a network sees + a pull of the latents towards zero. During training the
latents get Gaussian noise, a share of their own spread, so that neighbours decode alike. Pictures are mirrored at random.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Literal, NamedTuple

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float, Shaped
from pydantic import BaseModel
from torch import Tensor, nn

from models.autoencoder import Autoencoder, AutoencoderConfig
from models.bundle import AutoencoderBundle, Contents
from models.context import Context
from models.convolutions import ResidualBlock
from models.cost import PER_SAMPLE
from models.perception.perceptual import PerceptualDistance
from models.text import TextEncoderConfig
from train.decoding import decode_picture
from train.objectives.contract import MAIN, Drawn, LossTerms, Meter, ParameterGroup, Phase


class AutoencoderObjectiveConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Training of the autoencoder."""

    kind: Literal["autoencoder"] = "autoencoder"
    autoencoder: AutoencoderConfig
    """Shape of the network."""
    size_px: Annotated[int, Gt(0)]
    """Side of the square pictures; a multiple of the autoencoder's factor."""
    latent_noise: Annotated[float, Ge(0.0)]
    """Standard deviation of the noise put on latents while training, as a share of each channel's own in the batch."""
    latent_pull: Annotated[float, Ge(0.0)]
    """Weight of the mean squared latent."""
    square_weight: Annotated[float, Ge(0.0)]
    """Weight of the squared error."""
    edge_weight: Annotated[float, Ge(0.0)]
    """Weight of the differences between neighbouring pixels."""
    perceptual_weight: Annotated[float, Ge(0.0)]
    """Weight of the distance between features of EfficientNet-lite0; 0 leaves it out."""


class PictureBatch(NamedTuple):
    """Pictures in [-1, 1] and the noise their latents get."""

    pictures: Float[Tensor, "b 3 y x"]
    latent_noise: Float[Tensor, "b c y2 x2"]


class AutoencoderObjective:
    """The autoencoder's objective."""

    columns: tuple[str, ...] = ("image",)
    unit: Literal["noisy tokens", "pictures"] = "pictures"
    text_encoder: TextEncoderConfig | None = None
    phases: tuple[Phase, ...] = (MAIN,)
    cost = PER_SAMPLE

    def __init__(self, config: AutoencoderObjectiveConfig) -> None:
        if config.size_px % config.autoencoder.factor:
            raise ValueError(
                f"size_px={config.size_px} must be a multiple of the autoencoder's factor {config.autoencoder.factor}"
            )
        self.config = config
        self.decode = partial(decode_picture, size_px=config.size_px)
        self.autoencoder = Autoencoder(config.autoencoder)
        self._perceptual = PerceptualDistance() if config.perceptual_weight else None

    @property
    def network(self) -> nn.Module:
        return self.autoencoder

    @property
    def blocks(self) -> Sequence[nn.Module]:
        return [module for module in self.autoencoder.modules() if isinstance(module, ResidualBlock)]

    @property
    def companions(self) -> Sequence[nn.Module]:
        return () if self._perceptual is None else (self._perceptual,)

    def groups(self) -> list[ParameterGroup]:
        matrices = [parameter for parameter in self.autoencoder.parameters() if parameter.dim() == 2]
        rest = [parameter for parameter in self.autoencoder.parameters() if parameter.dim() != 2]
        return [ParameterGroup("muon", matrices), ParameterGroup("adamw", rest)]

    def prepare(self, targets: Iterable[list[Tensor]]) -> None:
        """Nothing is needed: the statistics are those of the trained encoder."""

    def learn_texts(self, texts: Sequence[str]) -> None:
        """Texts play no part."""

    def collate(self, drawn: Sequence[Drawn]) -> PictureBatch:
        side = self.config.size_px // self.config.autoencoder.factor
        pictures, noise = [], []
        for sample in drawn:
            generator = torch.Generator().manual_seed(sample.key)
            is_mirrored = bool(torch.rand((), generator=generator) < 0.5)
            pictures.append(sample.target.flip(2) if is_mirrored else sample.target)
            noise.append(torch.randn(self.config.autoencoder.latent_channels, side, side, generator=generator))
        return PictureBatch(_in_range(torch.stack(pictures)), self.config.latent_noise * torch.stack(noise))

    def loss(self, batch: PictureBatch, phase: str, context: Context | None = None) -> LossTerms:  # noqa: ARG002  one phase, no tokens
        raw = self.autoencoder.raw_latent(batch.pictures)
        spread = raw.detach().std((0, 2, 3), keepdim=True)  # a share of it: larger latents do not drown the noise
        decoded = self.autoencoder.decode_raw(raw + spread * batch.latent_noise).float()
        error = error_in_range(decoded, batch.pictures)
        pixels = error.abs().mean()
        edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        total = (
            pixels
            + self.config.square_weight * error.square().mean()
            + self.config.edge_weight * edges
            + self.config.latent_pull * raw.square().mean()
        )
        means = {"l1": pixels, "latent_rms": raw.detach().square().mean().sqrt()}
        if self._perceptual is not None:
            distance = self._perceptual(decoded.clamp(-1, 1), batch.pictures)
            total = total + self.config.perceptual_weight * distance
            means["perceptual"] = distance
        means["psnr_db"] = -10 * (error.detach() / 2).square().mean().log10()
        return LossTerms(total, {name: Meter.mean(value, len(raw)) for name, value in means.items()})

    def finish(self, targets: Iterable[list[Tensor]]) -> None:
        """Take the latents' statistics over the training pictures."""
        with torch.inference_mode():
            raw = [self.autoencoder.raw_latent(_in_range(torch.stack(part))) for part in targets]
        self.autoencoder.take_statistics(torch.cat(raw))

    def export(self) -> tuple[Contents, Mapping[str, Mapping[str, Tensor]]]:
        contents = AutoencoderBundle(autoencoder=self.config.autoencoder, size_px=self.config.size_px)
        return contents, {"autoencoder": self.autoencoder.state_dict()}


def error_in_range(decoded: Float[Tensor, "b 3 y x"], pictures: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b 3 y x"]:
    """Difference of pixels, none where the decoder goes beyond a bound that the picture lies on.

    What is shown is clamped, so white may be whiter than white: the margin keeps plain grounds plain under noisy latents.
    """
    is_beyond = ((decoded > 1) & (pictures >= 1)) | ((decoded < -1) & (pictures <= -1))
    return torch.where(is_beyond, 0.0, decoded - pictures)


def _in_range(pixels: Shaped[Tensor, "b 3 y x"]) -> Float[Tensor, "b 3 y x"]:
    return pixels.float() / 127.5 - 1
