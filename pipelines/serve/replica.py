"""The model behind the server: one generator bundle, pictures of parallel requests drawn together.

Requests are cut into single pictures before they arrive, so that the pictures of one request and those of strangers fill the
same batches. Each picture's noise comes from its own seed, hence what a request gets does not depend on its neighbours.

c channels · y, x pixels
"""

import asyncio
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from ray import serve
from torch import Tensor

from models.bundle import read_manifest
from models.generate import Generator, generate
from models.picture_sizes import ImageSize
from models.requests import Request
from pipelines.serve.messages import Job, Served
from pipelines.serve.stamp import Stamp, encode_stamped_png


class GeneratorReplica:
    """Draws jobs in batches; one of these runs in each Serve replica."""

    def __init__(self, folder: Path, *, max_batch_images: int, wait_ms: float) -> None:
        manifest = read_manifest(folder)
        self._bundle = manifest.digest
        self._run = manifest.lineage.run_id
        self._generator = Generator.load(folder)
        self._num_pictures = 0
        self._num_batches = 0
        self.draw.set_max_batch_size(max_batch_images)  # pyright: ignore[reportAttributeAccessIssue] serve.batch adds it
        self.draw.set_batch_wait_timeout_s(wait_ms / 1000)  # pyright: ignore[reportAttributeAccessIssue] serve.batch adds it
        self._draw_now([Job(prompt="warm-up", references=(), seed=0)])

    @serve.batch
    async def draw(self, jobs: list[Job]) -> list[bytes]:
        """Stamped PNG files, one for each job; Serve gathers the jobs and hands back one file to each caller."""
        pictures = await asyncio.to_thread(self._draw_now, jobs)
        self._num_pictures += len(jobs)
        self._num_batches += 1
        return pictures

    async def describe(self) -> Served:
        """What is served, with the counts so far."""
        size = self._size
        return Served(
            bundle=self._bundle,
            run=self._run,
            width_px=size.width_px,
            height_px=size.height_px,
            num_pictures=self._num_pictures,
            num_batches=self._num_batches,
        )

    @property
    def _size(self) -> ImageSize:
        return self._generator.default_size

    def _draw_now(self, jobs: list[Job]) -> list[bytes]:
        requests = [
            Request(prompt=job.prompt, references=tuple(map(to_model_range, job.references)), seed=job.seed, size=self._size)
            for job in jobs
        ]
        pictures = generate(self._generator, requests)
        return [self._stamped(job, picture) for job, picture in zip(jobs, pictures, strict=True)]

    def _stamped(self, job: Job, picture: Float[Tensor, "3 y x"]) -> bytes:
        stamp = Stamp(bundle=self._bundle, run=self._run, seed=job.seed, references=len(job.references))
        return encode_stamped_png(to_pixels(picture), stamp)


def to_model_range(pixels: UInt8[np.ndarray, "y x 3"]) -> Float[Tensor, "3 y x"]:
    """Pixels in [0, 255] as the model takes them: channels first, in [-1, 1]."""
    return rearrange(torch.tensor(pixels), "y x c -> c y x").float() / 127.5 - 1


def to_pixels(picture: Float[Tensor, "3 y x"]) -> UInt8[np.ndarray, "y x 3"]:
    """A picture in [-1, 1] as pixels in [0, 255], rounded; values outside are clipped."""
    scaled = (picture.float().clamp(-1, 1) + 1) * 127.5
    return rearrange(scaled.round().to(torch.uint8), "c y x -> y x c").cpu().numpy()
