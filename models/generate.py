"""Pictures from requests: the one way in which preview, evaluation and serving generate.

A request is text and any number of reference pictures. `Generator.start` encodes both and runs the clean tokens once;
`step` moves every request one step along its path, looking at the remembered keys and values; `finish` decodes. `generate`
loops over them. An engine that interleaves requests calls the three itself.

c latent channels · y, x pixels or latent cells
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from models.autoencoder import Autoencoder
from models.bundle import AutoencoderBundle, BundleError, GeneratorBundle, load_tensors, read_manifest
from models.dit import DiT, Memory
from models.samplers import SamplerConfig, Slope, advanced, guided
from models.sequence import Condition, NoisyTokens, pack_clean, pack_noisy, unpack_noisy
from models.text import TextEncoder


class ImageSize(NamedTuple):
    """Height and width of a picture in pixels."""

    height_px: int
    width_px: int


class Request(NamedTuple):
    """One picture to be made."""

    prompt: str
    references: tuple[Float[Tensor, "3 _ _"], ...]
    """Pictures to edit or to compose from, in [-1, 1]; none for text-to-image."""
    seed: int
    size: ImageSize


class Progress(NamedTuple):
    """Requests on their way from noise to latents."""

    latents: Float[Tensor, "m c"]
    times: Float[Tensor, "k s"]
    """Of every request."""
    num_done: int
    sampler: SamplerConfig
    noisy: NoisyTokens
    """Positions and lengths of the tokens, of all conditions and, with guidance, of the other branches behind them."""
    memory: Memory
    sizes: tuple[tuple[int, int], ...]
    before: Slope | None = None
    """The step before."""

    @property
    def is_done(self) -> bool:
        return self.num_done == len(self.times) - 1


class Generator:
    """A transformer, an autoencoder and a text encoder, ready to draw."""

    def __init__(
        self, dit: DiT, autoencoder: Autoencoder, text_encoder: TextEncoder, *, sampler: SamplerConfig, size: ImageSize
    ) -> None:
        self.dit = dit.eval()
        self.autoencoder = autoencoder.eval()
        self.text_encoder = text_encoder
        self.sampler = sampler
        self.default_size = size

    @classmethod
    def load(cls, folder: Path) -> "Generator":
        """The generator of a bundle.

        Raises:
            BundleError: the folder holds no generator bundle.
        """
        contents = read_manifest(folder).contents
        if not isinstance(contents, GeneratorBundle):
            raise BundleError(f"bundle {folder} is of kind {contents.kind!r}, expected 'generator'")
        dit, autoencoder = DiT(contents.dit), Autoencoder(contents.autoencoder)
        dit.load_state_dict(load_tensors(folder, "dit"))
        autoencoder.load_state_dict(load_tensors(folder, "autoencoder"))
        size = ImageSize(contents.size_px, contents.size_px)
        return cls(dit, autoencoder, TextEncoder.load(), sampler=contents.sampler, size=size)

    @torch.inference_mode()
    def start(self, requests: Sequence[Request], *, sampler: SamplerConfig | None = None) -> Progress:
        """Encode the requests, run their clean tokens once and draw their noise.

        Raises:
            ValueError: a size is not a multiple of the autoencoder's factor.
        """
        sampler = sampler or self.sampler
        sizes = tuple(self._latent_size(request.size) for request in requests)
        conditions = self._conditions(requests, num_branches=sampler.num_branches)
        memory = self.dit.remember(pack_clean(conditions, latent_channels=self.dit.config.latent_channels))
        noise = [self._noise(request.seed, size) for request, size in zip(requests, sizes, strict=True)]
        times = torch.stack([sampler.times(height * width) for height, width in sizes], dim=1)
        return Progress(
            latents=pack_noisy(noise).latents, times=times, num_done=0, sampler=sampler,
            noisy=pack_noisy(noise * sampler.num_branches), memory=memory, sizes=sizes,
        )  # fmt: skip

    @torch.inference_mode()
    def step(self, progress: Progress) -> Progress:
        """One step of every request."""
        time, next_time = progress.times[progress.num_done : progress.num_done + 2].unbind(0)
        length = (next_time - time).repeat_interleave(progress.noisy.lengths[: len(progress.sizes)])[:, None]
        latents, before = advanced(
            progress.sampler.solver, progress.latents, partial(self._velocity, progress), time=time, next_time=next_time,
            length=length, before=progress.before,
        )  # fmt: skip
        return progress._replace(latents=latents, num_done=progress.num_done + 1, before=before)

    @torch.inference_mode()
    def finish(self, progress: Progress) -> list[Float[Tensor, "3 _ _"]]:
        """Decode the latents reached so far, one picture per request, in [-1, 1]."""
        latents = unpack_noisy(progress.latents, progress.sizes)
        return [self.autoencoder.decode(latent[None])[0] for latent in latents]

    def _velocity(
        self, progress: Progress, latents: Float[Tensor, "m c"], time: Float[Tensor, " s"]
    ) -> Float[Tensor, "m c"]:
        sampler = progress.sampler
        noisy = progress.noisy._replace(latents=latents.repeat(sampler.num_branches, 1))
        velocity = self.dit.velocity(noisy, time.repeat(sampler.num_branches), progress.memory)
        branches = velocity.chunk(sampler.num_branches)
        return guided(branches, guidance=sampler.guidance, reference_guidance=sampler.reference_guidance)

    def _conditions(self, requests: Sequence[Request], *, num_branches: int) -> list[Condition]:
        """Of every request, branch after branch: all of it; without the text; without references, too."""
        texts = [request.prompt for request in requests] + [""] * len(requests) * (num_branches - 1)
        references = [self._encode(request.references) for request in requests]
        shown = [references, references, [()] * len(requests)][:num_branches]
        states = self.text_encoder.encode(texts)
        return [Condition(state, pictures) for state, pictures in zip(states, chain(*shown), strict=True)]

    def _encode(self, pictures: tuple[Float[Tensor, "3 _ _"], ...]) -> tuple[Float[Tensor, "c _ _"], ...]:
        return tuple(self.autoencoder.encode(picture[None])[0] for picture in pictures)

    def _noise(self, seed: int, size: tuple[int, int]) -> Float[Tensor, "c y x"]:
        return torch.randn(self.dit.config.latent_channels, *size, generator=torch.Generator().manual_seed(seed))

    def _latent_size(self, size: ImageSize) -> tuple[int, int]:
        factor = self.autoencoder.config.factor
        if size.height_px % factor or size.width_px % factor or min(size) < factor:
            raise ValueError(
                f"size {size.width_px}x{size.height_px} cannot be drawn: both sides must be multiples of {factor} px"
            )
        return size.height_px // factor, size.width_px // factor


def load_autoencoder(folder: Path) -> tuple[Autoencoder, AutoencoderBundle]:
    """The autoencoder of a bundle, ready to encode.

    Raises:
        BundleError: the folder holds no autoencoder bundle.
    """
    contents = read_manifest(folder).contents
    if not isinstance(contents, AutoencoderBundle):
        raise BundleError(f"bundle {folder} is of kind {contents.kind!r}, expected 'autoencoder'")
    autoencoder = Autoencoder(contents.autoencoder)
    autoencoder.load_state_dict(load_tensors(folder, "autoencoder"))
    return autoencoder.eval(), contents


def generate(
    generator: Generator, requests: Sequence[Request], *,
    sampler: SamplerConfig | None = None, on_step: Callable[[int, int], None] | None = None,
) -> list[Float[Tensor, "3 _ _"]]:  # fmt: skip
    """One picture per request, in [-1, 1]; the same request gives the same picture in any batch up to rounding.

    Args:
        on_step: called with (steps done, steps in all) after every step.
    """
    progress = generator.start(requests, sampler=sampler)
    while not progress.is_done:
        progress = generator.step(progress)
        if on_step is not None:
            on_step(progress.num_done, len(progress.times) - 1)
    return generator.finish(progress)
