"""The pictures that are scored: drawn by the generator, and those of the baselines that need its autoencoder.

c latent channels · y, x pixels
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import UInt8

from eval.render import png, read_png, to_image, to_pixels
from eval.samples import Sample
from models.autoencoder import Autoencoder
from models.generate import Generator, generate
from models.picture_sizes import ImageSize
from models.requests import Request
from models.samplers import SamplerConfig

Picture = UInt8[np.ndarray, "y x 3"]
T = TypeVar("T")


class DrawSettings(NamedTuple):
    """How pictures are drawn."""

    sampler: SamplerConfig | None
    """None for the bundle's own."""
    batch_size: int
    seed: int
    """With a sample's id it gives the sample's noise."""


def draw(
    generator: Generator, samples: Sequence[Sample], views: Mapping[str, Picture], folder: Path, *,
    settings: DrawSettings, on_done: Callable[[int], None],
) -> list[Picture]:  # fmt: skip
    """One picture per sample, stored in `folder` as ``<file_stem>.png``; those that are there already are not drawn again.

    Args:
        views: training views of the references, by id.
        on_done: called with the number of pictures that were just finished.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [sample for sample in samples if not _file(folder, sample).exists()]
    on_done(len(samples) - len(missing))
    for batch in _batches(missing, settings.batch_size):
        requests = [_request(sample, views, size=generator.default_size, seed=settings.seed) for sample in batch]
        for sample, picture in zip(batch, generate(generator, requests, sampler=settings.sampler), strict=True):
            store(_file(folder, sample), to_pixels(picture))
        on_done(len(batch))
    return [read_png(_file(folder, sample)) for sample in samples]


def store(path: Path, pixels: Picture) -> None:
    """Write a PNG beside its place and rename it: a file that exists is whole."""
    beside = path.with_suffix(".part")
    beside.write_bytes(png(pixels))
    beside.replace(path)


@torch.inference_mode()
def reconstructed(autoencoder: Autoencoder, pictures: Sequence[Picture], *, batch_size: int) -> list[Picture]:
    """The pictures after a round trip through the autoencoder: the best that a generator on its latents can do."""
    found: list[Picture] = []
    for batch in _batches(pictures, batch_size):
        images = torch.stack([to_image(picture) for picture in batch])
        found += [to_pixels(image) for image in autoencoder.decode(autoencoder.encode(images))]
    return found


@torch.inference_mode()
def decoded_noise(autoencoder: Autoencoder, num: int, *, size: ImageSize, batch_size: int, seed: int) -> list[Picture]:
    """Pictures of latents drawn from a standard normal distribution: what a generator that learnt nothing gives."""
    factor, channels = autoencoder.config.factor, autoencoder.config.latent_channels
    shape = (num, channels, size.height_px // factor, size.width_px // factor)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return [to_pixels(image) for batch in noise.split(batch_size) for image in autoencoder.decode(batch)]


def _request(sample: Sample, views: Mapping[str, Picture], *, size: ImageSize, seed: int) -> Request:
    references = tuple(to_image(views[each]) for each in sample.reference_ids)
    return Request(prompt=sample.prompt, references=references, seed=sample.seed(seed), size=size)


def _file(folder: Path, sample: Sample) -> Path:
    return folder / f"{sample.file_stem}.png"


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
