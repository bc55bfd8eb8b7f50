"""Pictures of fixed prompts while a generator is trained: grids in the run's folder, one for every so many steps.

Drawn with the averaged weights by `models.generate`, as evaluation and serving draw. All noise comes from generators of its own,
so that training goes on as if nothing had been drawn; weights are looked at, not copied, and nothing is kept between grids.

y, x pixels
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Len
from jaxtyping import Float, UInt8
from PIL import Image
from pydantic import BaseModel
from torch import Tensor

from models.generate import generate
from models.requests import Request
from train.objectives.flow import Flow

_GAP_PX = 2


class PreviewConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is drawn while a generator is trained, and how often."""

    every_steps: Annotated[int, Gt(0)]
    """Optimizer steps between grids; the last step always has one."""
    prompts: Annotated[tuple[str, ...], Len(min_length=1, max_length=64)]
    """One picture each, row by row; the same noise in every grid."""
    sampler_steps: Annotated[int, Ge(1), Le(1000)] = 8
    """Steps of the sampler: all workers wait meanwhile, so fewer than in the bundle."""
    seed: int = 0
    """Of the first picture's noise; the following ones count up."""


class Previews:
    """Draws the grids of one run.

    Args:
        folder: where grids are kept.
        num_steps: of the run.
    """

    def __init__(self, config: PreviewConfig, objective: Flow, folder: Path, *, num_steps: int) -> None:
        self._config, self._objective, self._folder, self._num_steps = config, objective, folder, num_steps

    def is_due(self, num_steps_done: int) -> bool:
        """Whether there is a grid to draw after this many steps."""
        return num_steps_done % self._config.every_steps == 0 or num_steps_done == self._num_steps

    def draw(
        self, weights: Mapping[str, Tensor], num_steps_done: int, *, on_step: Callable[[int, int], None] | None = None
    ) -> Path:
        """The grid after this many steps, as a PNG.

        Args:
            weights: of the transformer, whole, by name.
            on_step: called with (steps of the sampler done, steps in all) after every one.
        """
        with torch.random.fork_rng(devices=[]):                      # whatever a library draws stays here
            generator = self._objective.generator({name: tensor.cpu() for name, tensor in weights.items()})
            requests = [
                Request(prompt, (), self._config.seed + i, generator.default_size)
                for i, prompt in enumerate(self._config.prompts)
            ]
            sampler = generator.sampler.model_copy(update={"num_steps": self._config.sampler_steps})
            pictures = generate(generator, requests, sampler=sampler, on_step=on_step)
        self._folder.mkdir(parents=True, exist_ok=True)
        place = self._folder / f"step-{num_steps_done:06d}.png"
        beside = place.with_suffix(".writing")
        Image.fromarray(tiled(pictures)).save(beside, format="PNG")
        return beside.rename(place)


def drawn(folder: Path) -> dict[int, Path]:
    """The grids in a folder by the steps done before them."""
    return {int(path.stem.removeprefix("step-")): path for path in sorted(folder.glob("step-*.png"))}


def tiled(pictures: Sequence[Float[Tensor, "3 y x"]]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Pictures in [-1, 1], all of one size, as near to a square as they go, row by row on white."""
    across = math.ceil(math.sqrt(len(pictures)))
    down = math.ceil(len(pictures) / across)
    _, height, width = pictures[0].shape
    sheet = np.full((down * (height + _GAP_PX) - _GAP_PX, across * (width + _GAP_PX) - _GAP_PX, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // across * (height + _GAP_PX), i % across * (width + _GAP_PX)
        levels = ((picture.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        sheet[top : top + height, left : left + width] = levels.permute(1, 2, 0).numpy()
    return sheet
