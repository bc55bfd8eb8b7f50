"""Pictures from requests: the one way in which preview, evaluation and serving generate.

A request (`models.requests`) is text and any number of pictures brought along. `Generator.start` encodes both and runs the clean
tokens once; `step` moves every request one step along its path, looking at the remembered keys and values; `finish` decodes.
`generate` loops over them. An engine that interleaves requests calls the three itself.

Sets are drawn in rounds, a picture of every set in each: the finished picture is remembered behind what was, and the next one is
drawn in sight of it. Masked pictures are held to the path of their original outside the mask (Lugmayr et al. 2022,
arXiv:2201.09865, without its resampling), and their pixels there are the original's.

c latent channels · y, x pixels or latent cells · s pictures under way · r requests
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from models.autoencoder import Autoencoder
from models.bundle import AutoencoderBundle, BundleError, GeneratorBundle, load_tensors, read_manifest
from models.dit import DiT, Marks, Memory
from models.flow import point_on_path
from models.glyphs import quoted
from models.picture_sizes import ImageSize
from models.requests import Request, checked, drawn_size, nearest_size, scaled_to
from models.samplers import SamplerConfig, Slope, advanced, guided
from models.sequence import Condition, NoisyTokens, flat, pack_clean, pack_further, pack_noisy, target_index, unpack_noisy
from models.text import WEIGHTS, TextEncoder, build, carries_weights

Picture = Float[Tensor, "3 _ _"]
Latent = Float[Tensor, "c _ _"]


class Kept(NamedTuple):
    """What stays as it is while a masked picture is drawn; of other pictures, nothing does."""

    latents: Float[Tensor, "m c"]
    """Of the originals."""
    noise: Float[Tensor, "m c"]
    """That every picture began with."""
    is_drawn: Float[Tensor, "m 1"]
    """1 for tokens that are drawn, 0 for those that are held to the original's path."""


class Round(NamedTuple):
    """One picture of every request that has one to draw."""

    number: int
    """Counted from 0; above it in sets alone."""
    requests: tuple[int, ...]
    """Which of the requests they are."""
    latents: Float[Tensor, "m c"]
    times: Float[Tensor, "k s"]
    noisy: NoisyTokens
    """Positions and lengths of the tokens, of all conditions and, with guidance, of the other branches behind them."""
    memory: Memory
    marks: Marks
    kept: Kept | None
    num_done: int = 0
    before: Slope | None = None
    """The step before."""


class Progress(NamedTuple):
    """Requests on their way from noise to latents."""

    requests: tuple[Request, ...]
    sizes: tuple[tuple[int, int], ...]
    """Of every request's latents."""
    sampler: SamplerConfig
    now: Round
    done: tuple[tuple[Latent, ...], ...]
    """Finished latents of every request, but those of the round under way."""

    @property
    def num_steps(self) -> int:
        """Of all rounds."""
        return self.sampler.num_steps * max(request.num_images for request in self.requests)

    @property
    def num_done(self) -> int:
        """Steps done."""
        return self.sampler.num_steps * self.now.number + self.now.num_done

    @property
    def is_done(self) -> bool:
        return self.num_done == self.num_steps


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
        weights = load_tensors(folder, WEIGHTS) if carries_weights(contents.text_encoder) else None
        size = ImageSize(contents.size_px, contents.size_px)
        return cls(dit, autoencoder, build(contents.text_encoder, weights), sampler=contents.sampler, size=size)

    @torch.inference_mode()
    def start(self, requests: Sequence[Request], *, sampler: SamplerConfig | None = None) -> Progress:
        """Encode the requests, run their clean tokens once and draw their noise.

        Raises:
            ValueError: a request cannot be carried out (`models.requests.checked`, `drawn_size`); says which and why.
        """
        sampler, factor = sampler or self.sampler, self.autoencoder.config.factor
        for request in requests:
            checked(request, labels=self.dit.config.labels)
        drawn = [drawn_size(request, default=self.default_size, factor=factor) for request in requests]
        sizes = tuple((size.height_px // factor, size.width_px // factor) for size in drawn)
        references = [self._encoded(request.references) for request in requests]
        conditions = self._conditions(requests, references, num_branches=sampler.num_branches)
        memory = self.dit.remember(pack_clean(conditions, latent_channels=self.dit.config.latent_channels))
        first = self._round(0, tuple(range(len(requests))), requests, sizes, sampler, memory)
        begun = Progress(tuple(requests), sizes, sampler, first, ((),) * len(requests))
        return begun._replace(now=first._replace(kept=self._kept(begun, references)))

    @torch.inference_mode()
    def step(self, progress: Progress) -> Progress:
        """One step of every request that has a picture to draw."""
        if progress.now.num_done == progress.sampler.num_steps:
            progress = self._next_round(progress)
        now = progress.now
        time, next_time = now.times[now.num_done : now.num_done + 2].unbind(0)
        lengths = now.noisy.lengths[: len(now.requests)]
        latents, before = advanced(
            progress.sampler.solver, now.latents, partial(self._velocity, progress.sampler, now), time=time, next_time=next_time,
            length=(next_time - time).repeat_interleave(lengths)[:, None], before=now.before,
        )  # fmt: skip
        if now.kept is not None:
            original = point_on_path(now.kept.latents, now.kept.noise, next_time.repeat_interleave(lengths))
            latents = torch.where(now.kept.is_drawn > 0, latents, original)
        return progress._replace(now=now._replace(latents=latents, num_done=now.num_done + 1, before=before))

    @torch.inference_mode()
    def finish(self, progress: Progress) -> list[Picture]:
        """Decode the latents reached so far, in [-1, 1]: request after request, the pictures of a set one behind the other."""
        latents = _with_round(progress)
        pictures = []
        for request, of_request in zip(progress.requests, latents, strict=True):
            drawn = [self.autoencoder.decode(latent[None])[0] for latent in of_request]
            pictures += drawn if request.mask is None else [_pasted(request, request.mask, picture) for picture in drawn]
        return pictures

    def _next_round(self, progress: Progress) -> Progress:
        """The finished pictures of sets are remembered, and those after them begun."""
        latents, now, requests = _with_round(progress), progress.now, progress.requests
        going_on = tuple(index for index in now.requests if requests[index].num_images > now.number + 1)
        branches = progress.sampler.num_branches
        groups = [branch * len(now.requests) + now.requests.index(index) for branch in range(branches) for index in going_on]
        shown = pack_further(
            [latents[index][-1] for index in going_on] * branches, text_width=self.dit.config.text_width,
            indices=_indices(now.number, [requests[index] for index in going_on], num_branches=branches),
        )  # fmt: skip
        memory = self.dit.remember(shown, before=now.memory.of(torch.tensor(groups)))
        following = self._round(now.number + 1, going_on, requests, progress.sizes, progress.sampler, memory)
        return progress._replace(now=following, done=latents)

    def _round(
        self, number: int, going_on: tuple[int, ...], requests: Sequence[Request], sizes: Sequence[tuple[int, int]],
        sampler: SamplerConfig, memory: Memory,
    ) -> Round:  # fmt: skip
        chosen, branches = [requests[index] for index in going_on], sampler.num_branches
        noise = [self._noise(requests[index], number, sizes[index]) for index in going_on]
        times = [sampler.times(sizes[index][0] * sizes[index][1]) for index in going_on]
        return Round(
            number, going_on, latents=pack_noisy(noise).latents, times=torch.stack(times, dim=1),
            noisy=pack_noisy(noise * branches, indices=_indices(number, chosen, num_branches=branches)), memory=memory,
            marks=Marks(torch.stack([self._labels(request) for request in chosen]).repeat(branches, 1)), kept=None,
        )  # fmt: skip

    def _velocity(
        self, sampler: SamplerConfig, now: Round, latents: Float[Tensor, "m c"], time: Float[Tensor, " s"]
    ) -> Float[Tensor, "m c"]:
        noisy = now.noisy._replace(latents=latents.repeat(sampler.num_branches, 1))
        velocity = self.dit.velocity(noisy, time.repeat(sampler.num_branches), now.memory, marks=now.marks)
        branches = velocity.chunk(sampler.num_branches)
        return guided(branches, guidance=sampler.guidance, reference_guidance=sampler.reference_guidance)

    def _conditions(
        self, requests: Sequence[Request], references: Sequence[tuple[Latent, ...]], *, num_branches: int
    ) -> list[Condition]:
        """Of every request, branch after branch: all of it; without the text; without references, too."""
        texts = [request.prompt for request in requests] + [""] * len(requests) * (num_branches - 1)
        given, none = [request.references for request in requests], [()] * len(requests)
        seen, shown = ([of_all, of_all, none][:num_branches] for of_all in (given, references))
        states = self.text_encoder.encode(texts, list(chain(*seen)))
        letters = [quoted(text) if self.dit.config.glyphs else b"" for text in texts]
        return [Condition(*parts[:2], letters=parts[2]) for parts in zip(states, chain(*shown), letters, strict=True)]

    def _encoded(self, pictures: Sequence[Picture]) -> tuple[Latent, ...]:
        factor, size = self.autoencoder.config.factor, self.default_size
        most_px = size.height_px * size.width_px
        sizes = [nearest_size(ImageSize(*picture.shape[1:]), factor=factor, most_px=most_px) for picture in pictures]
        fitted = [scaled_to(picture, each) for picture, each in zip(pictures, sizes, strict=True)]
        return tuple(self.autoencoder.encode(picture[None])[0] for picture in fitted)

    def _kept(self, progress: Progress, references: Sequence[tuple[Latent, ...]]) -> Kept | None:
        if all(request.mask is None for request in progress.requests):
            return None
        originals, drawn = [], []
        for request, size, latents in zip(progress.requests, progress.sizes, references, strict=True):
            if request.mask is None:
                originals.append(torch.zeros(self.dit.config.latent_channels, *size))
                drawn.append(torch.ones(1, *size))
            else:
                originals.append(latents[0])
                drawn.append(functional.adaptive_max_pool2d((request.mask > 0).float()[None], size)[0])
        is_drawn = torch.cat([flat(each) for each in drawn])
        return Kept(torch.cat([flat(each) for each in originals]), progress.now.latents, is_drawn)

    def _labels(self, request: Request) -> Float[Tensor, " l"]:
        borne = {request.task, *request.tags}
        return torch.tensor([float(label in borne) for label in self.dit.config.labels])

    def _noise(self, request: Request, number: int, size: tuple[int, int]) -> Latent:
        """Of the picture with this number of the request; always drawn on the CPU, so that hardware does not change it."""
        generator = torch.Generator().manual_seed(noise_seed(request.seed, number))
        return torch.randn(self.dit.config.latent_channels, *size, generator=generator)


def noise_seed(seed: int, number: int) -> int:
    """Seed of the noise of one picture of a request: the request's own for the first, hashed from both for the others.

    Torch's generator on CPUs takes the lower 32 bits of a seed alone, so nothing may tell pictures apart in the upper ones.
    """
    return seed if number == 0 else int.from_bytes(hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=4).digest())


def _indices(number: int, requests: Sequence[Request], *, num_branches: int) -> list[int]:
    """Image index of the pictures with this number, branch after branch; in the last of three there are no references."""
    shown, none = [len(request.references) for request in requests], [0] * len(requests)
    branches = [shown, shown, none][:num_branches]
    return [target_index(number, num_references) for branch in branches for num_references in branch]


def _with_round(progress: Progress) -> tuple[tuple[Latent, ...], ...]:
    """Latents of every request, those of the round under way at the end."""
    now, latents = progress.now, list(progress.done)
    found = unpack_noisy(now.latents, [progress.sizes[index] for index in now.requests])
    for index, latent in zip(now.requests, found, strict=True):
        latents[index] = (*latents[index], latent)
    return tuple(latents)


def _pasted(request: Request, mask: Float[Tensor, "1 y x"], drawn: Picture) -> Picture:
    """What was drawn where the mask is, the original everywhere else, at the original's size."""
    original = request.references[0]
    fitted = scaled_to(drawn, ImageSize(*original.shape[1:]))
    return torch.where(mask > 0, fitted, original)


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
    """Pictures in [-1, 1], request after request, one each but of sets; a request gives the same in any batch up to rounding.

    Args:
        on_step: called with (steps done, steps in all) after every step.
    """
    progress = generator.start(requests, sampler=sampler)
    while not progress.is_done:
        progress = generator.step(progress)
        if on_step is not None:
            on_step(progress.num_done, progress.num_steps)
    return generator.finish(progress)
