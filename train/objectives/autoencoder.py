"""Reconstruction of pictures through smooth latents.

Loss: L1 and squared error of pixels (the latter moves colours first) + L1 of their horizontal and vertical differences (edges
carry what a small picture shows) + the distance that a network sees + what keeps latents smooth + an adversary, where asked for.
Pictures are mirrored at random.

The three phases of DC-AE (Chen et al. 2024, arXiv:2410.10733, section 3.3) are three runs of this objective, each with the size,
batch and rate that suit it, and each from the bundle of the one before (`start`): everything on small pictures; `middle` alone,
where latents are made and read, on large ones; `HEAD` alone, where pixels are made, on small ones with the adversary. What else
there is stands still (`frozen` of a stage, `all_but`).
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
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
from models.perception.perceptual import BackboneConfig, PerceptualDistance
from models.text import TextEncoderConfig
from train.decoding import decode_picture
from train.objectives.adversary import CRITIC, NOISE, AdversaryConfig, PatchCritic, critic_loss, roughness
from train.objectives.contract import MAIN, Drawn, LossTerms, Meter, ParameterGroup, Phase
from train.objectives.smoothness import KlConfig, SmoothnessConfig, Spread, smoothed
from train.objectives.takeover import stood_still, take_over


class PerceptualConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The distance that a network sees."""

    backbone: BackboneConfig
    """The network."""
    weight: Annotated[float, Gt(0.0)]
    """Weight of the distance."""


class AutoencoderObjectiveConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Training of the autoencoder."""

    kind: Literal["autoencoder"] = "autoencoder"
    autoencoder: AutoencoderConfig
    """Shape of the network."""
    size_px: Annotated[int, Gt(0)]
    """Side of the square pictures; a multiple of the autoencoder's factor."""
    start: str | None = None
    """Folder of the bundle to go on from, of this shape or with another decoder, which then begins anew; None begins all anew."""
    smoothness: SmoothnessConfig
    """What makes neighbouring latents decode alike."""
    square_weight: Annotated[float, Ge(0.0)]
    """Weight of the squared error."""
    edge_weight: Annotated[float, Ge(0.0)]
    """Weight of the differences between neighbouring pixels."""
    perceptual: PerceptualConfig | None
    """The distance that a network sees; None leaves it out."""
    adversary: AdversaryConfig | None = None
    """A critic of the drawn pictures; None for none."""


class PictureBatch(NamedTuple):
    """Pictures in [-1, 1] and unit noise for their latents and, where a critic is asked, for themselves."""

    pictures: Float[Tensor, "b 3 y x"]
    latent_noise: Float[Tensor, "b c y2 x2"]
    picture_noise: Float[Tensor, "b 3 y x"] | None


class _Trained(nn.Module):
    """The autoencoder and what is trained beside it, but is in no bundle."""

    def __init__(self, config: AutoencoderObjectiveConfig) -> None:
        super().__init__()
        self.autoencoder = Autoencoder(config.autoencoder)
        shape = config.autoencoder
        is_kl = isinstance(config.smoothness, KlConfig)
        self.spread = Spread(shape.widths[-1], shape.latent_channels) if is_kl else None
        self.critic = None if config.adversary is None else PatchCritic(config.adversary.width)


class AutoencoderObjective:
    """The autoencoder's objective."""

    columns: tuple[str, ...] = ("image",)
    unit: Literal["noisy tokens", "pictures"] = "pictures"
    text_encoder: TextEncoderConfig | None = None
    max_letters = 0
    cost = PER_SAMPLE

    def __init__(self, config: AutoencoderObjectiveConfig) -> None:
        if config.size_px % config.autoencoder.factor:
            raise ValueError(
                f"size_px={config.size_px} must be a multiple of the autoencoder's factor {config.autoencoder.factor}"
            )
        self.config = config
        self.decode = partial(decode_picture, size_px=config.size_px)
        self.phases: tuple[Phase, ...] = (MAIN,) if config.adversary is None else (CRITIC, MAIN)
        self._trained = _Trained(config)
        self.autoencoder, self.spread, self.critic = self._trained.autoencoder, self._trained.spread, self._trained.critic
        if config.start is not None:
            take_over(self.autoencoder, Path(config.start))
        self._perceptual = None if config.perceptual is None else PerceptualDistance(config.perceptual.backbone)

    @property
    def network(self) -> nn.Module:
        return self._trained

    @property
    def blocks(self) -> Sequence[nn.Module]:
        return [module for module in self.autoencoder.modules() if isinstance(module, ResidualBlock)]

    @property
    def companions(self) -> Sequence[nn.Module]:
        return () if self._perceptual is None else (self._perceptual,)

    def groups(self) -> list[ParameterGroup]:
        critic, adversary = self.critic, self.config.adversary
        judging = [] if critic is None else list(critic.parameters())
        others = set(map(id, judging))
        drawing = [parameter for parameter in self._trained.parameters() if id(parameter) not in others]
        matrices = [parameter for parameter in drawing if parameter.dim() == 2]
        rest = [parameter for parameter in drawing if parameter.dim() != 2]
        groups = [ParameterGroup("muon", matrices), ParameterGroup("adamw", rest)]
        return groups if adversary is None else [*groups, ParameterGroup("adamw", judging, CRITIC, adversary.rate)]

    def prepare(self, targets: Iterable[list[Tensor]]) -> None:
        """Nothing is needed: the statistics are those of the trained encoder."""

    def learn_texts(self, texts: Sequence[str]) -> None:
        """Texts play no part."""

    def collate(self, drawn: Sequence[Drawn]) -> PictureBatch:
        size, shape = self.config.size_px, self.config.autoencoder
        side = size // shape.factor
        pictures, latent_noise, picture_noise = [], [], []
        for sample in drawn:
            generator = torch.Generator().manual_seed(sample.key)
            is_mirrored = bool(torch.rand((), generator=generator) < 0.5)
            pictures.append(sample.target.flip(2) if is_mirrored else sample.target)
            latent_noise.append(torch.randn(shape.latent_channels, side, side, generator=generator))
            if self.config.adversary is not None:
                picture_noise.append(torch.randn(3, size, size, generator=generator))
        disturbance = torch.stack(picture_noise) if picture_noise else None
        return PictureBatch(_in_range(torch.stack(pictures)), torch.stack(latent_noise), disturbance)

    def loss(self, batch: PictureBatch, phase: str, context: Context | None = None) -> LossTerms:  # noqa: ARG002  no tokens
        if phase == CRITIC.name:
            with torch.no_grad():
                decoded, _, _ = self._decoded(batch)
            total, means = self._judged(batch, decoded)
        else:
            total, means = self._reconstructed(batch)
        return LossTerms(total, {name: Meter.mean(value, len(batch.pictures)) for name, value in means.items()})

    def _decoded(self, batch: PictureBatch) -> tuple[Float[Tensor, "b 3 y x"], Float[Tensor, "b c y2 x2"], Tensor]:
        """What the pictures come back as, their latents, and the penalty on those."""
        raw, features = self.autoencoder.raw_latent_and_features(batch.pictures)
        given, penalty = smoothed(raw, features, batch.latent_noise, self.config.smoothness, self.spread)
        return self.autoencoder.decode_raw(given).float(), raw, penalty

    def _reconstructed(self, batch: PictureBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the autoencoder."""
        decoded, raw, penalty = self._decoded(batch)
        error = error_in_range(decoded, batch.pictures)
        pixels = error.abs().mean()
        edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        total = pixels + self.config.square_weight * error.square().mean() + self.config.edge_weight * edges + penalty
        means = {"l1": pixels, "latent_rms": raw.detach().square().mean().sqrt()}
        if self._perceptual is not None and self.config.perceptual is not None:
            distance = self._perceptual(decoded.clamp(-1, 1), batch.pictures)
            total = total + self.config.perceptual.weight * distance
            means["perceptual"] = distance
        pressure, scores = self._pressure(batch, decoded)
        psnr_db = -10 * (error.detach() / 2).square().mean().log10()
        return total + pressure, {**means, "psnr_db": psnr_db, **scores}

    def _judged(self, batch: PictureBatch, decoded: Float[Tensor, "b 3 y x"]) -> tuple[Tensor, dict[str, Tensor]]:
        """The critic's loss."""
        critic, adversary = self.critic, self.config.adversary
        assert critic is not None, "a critic's turn without a critic"
        assert adversary is not None, "a critic without a configuration"
        assert batch.picture_noise is not None, "a critic's batch without noise"
        seen = torch.cat([batch.pictures, decoded.clamp(-1, 1), batch.pictures + NOISE * batch.picture_noise])
        real, drawn, disturbed = critic(seen).float().chunk(3)
        total = critic_loss(real, drawn) + adversary.smoothness * roughness(real, disturbed)
        return total, {"score_real": real.mean(), "score_drawn": drawn.mean()}

    def _pressure(self, batch: PictureBatch, decoded: Float[Tensor, "b 3 y x"]) -> tuple[Tensor, dict[str, Tensor]]:
        """What the critic adds to the decoder's loss: the lower, the more it takes pictures for real."""
        critic, adversary = self.critic, self.config.adversary
        if critic is None or adversary is None:
            return decoded.new_zeros(()), {}
        drawn = critic(decoded.clamp(-1, 1)).float().mean()
        with torch.no_grad():
            real = critic(batch.pictures).float().mean()
        return -adversary.weight * drawn, {"score_real": real, "score_drawn": drawn}

    def finish(self, targets: Iterable[list[Tensor]]) -> None:
        """Take the latents' statistics over the training pictures, unless latents are those of the bundle it began with."""
        if self.config.start is not None and stood_still(self.autoencoder, Path(self.config.start)):
            return
        with torch.inference_mode():
            device = self.autoencoder.latent_mean.device
            raw = [self.autoencoder.raw_latent(_in_range(torch.stack(part).to(device))) for part in targets]
        self.autoencoder.take_statistics(torch.cat(raw))

    def export(self) -> tuple[Contents, Mapping[str, Mapping[str, Tensor]]]:
        contents = AutoencoderBundle(autoencoder=self.config.autoencoder, size_px=self.config.size_px)
        return contents, {"autoencoder": self.autoencoder.state_dict()}


HEAD = ("decoder.levels.0.", "decoder.finish.", "retouch.")
"""Parts where pixels are made, as prefixes of names within the autoencoder."""


def middle(config: AutoencoderConfig) -> tuple[str, ...]:
    """Parts where latents are made and read."""
    last = f"levels.{len(config.widths) - 1}."
    return (f"encoder.{last}", "encoder.finish.", "linear_in.", "decoder.start.", f"decoder.{last}", "linear_out.")


def all_but(config: AutoencoderConfig, *moved: str, has_spread: bool = False) -> tuple[str, ...]:
    """What a stage that trains these parts of an autoencoder alone must freeze.

    Args:
        has_spread: whether latents are smoothed by a posterior (`KlConfig`), whose spread then stands still, too.

    Raises:
        ValueError: it has no such part.
    """
    levels = [f"levels.{level}." for level in range(len(config.widths))]
    coding = [f"{way}.{part}" for way in ("encoder", "decoder") for part in ("start.", *levels, "finish.")]
    parts = (*coding, "linear_in.", "linear_out.", "retouch.")
    if unknown := set(moved) - set(parts):
        raise ValueError(f"the autoencoder has no parts {sorted(unknown)}; it has {', '.join(parts)}")
    return (*(f"autoencoder.{part}" for part in parts if part not in moved), *(("spread.",) if has_spread else ()))


def error_in_range(decoded: Float[Tensor, "b 3 y x"], pictures: Float[Tensor, "b 3 y x"]) -> Float[Tensor, "b 3 y x"]:
    """Difference of pixels, none where the decoder goes beyond a bound that the picture lies on.

    What is shown is clamped, so white may be whiter than white: the margin keeps plain grounds plain under noisy latents.
    """
    is_beyond = ((decoded > 1) & (pictures >= 1)) | ((decoded < -1) & (pictures <= -1))
    return torch.where(is_beyond, 0.0, decoded - pictures)


def _in_range(pixels: Shaped[Tensor, "b 3 y x"]) -> Float[Tensor, "b 3 y x"]:
    return pixels.float() / 127.5 - 1
