"""Sizes of samples to plan with: the embedded corpus at the demo's recipe, and a synthetic mix of large pictures.

n samples
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from curation.tasks import TASKS, Task
from models.cost import Cost, transformer_cost
from models.sizes import full, tiny
from train.plan import Sizes


class Mix(NamedTuple):
    """Samples, and the network that is trained on them."""

    sizes: Sizes
    told_tokens: Int[np.ndarray, " n"]
    """Clean tokens that a sample really has in a step; the plan knows the most it may have."""
    cost: Cost
    task_shares: dict[Task, float]

    def flops(self) -> Float[np.ndarray, " n"]:
        """Forward operations of every sample as it is told."""
        return self.cost.of(self.told_tokens, self.sizes.noisy_tokens)


_CORPUS_CELLS, _CORPUS_DRAWS, _CORPUS_DIT = 16, 3, tiny(latent_channels=24, text_width=384)
"""64 px at 16 px a token, noise draws a sample, and the transformer: the recipe `seedbed fit generator`."""


class _Told(NamedTuple):
    """A task's samples in the selection of the demo: least, quarters and most."""

    share: float
    num_references: int
    most_tokens: tuple[int, ...]
    """That the longest of a sample's three texts may take (`models.minilm.most_tokens`)."""
    tokens: tuple[int, ...]
    """Of any of the three, told alike often."""


_CORPUS: dict[Task, _Told] = {
    "t2i": _Told(0.42, 0, (28, 32, 34, 35, 41), (4, 6, 9, 21, 25)),
    "edit": _Told(0.36, 1, (23, 26, 27, 29, 35), (4, 4, 8, 16, 20)),
    "compose": _Told(0.22, 2, (43, 47, 48, 48, 48), (11, 15, 17, 30, 35)),
}
"""Measured on the 1,261 training samples of `seedbed demo` on 2026-11-25."""


def corpus(num: int) -> Mix:
    """The embedded corpus as the demo's generator is trained on it."""
    draws = np.random.default_rng(0)
    tasks = draws.integers(0, len(_CORPUS), num, dtype=np.int8)
    most, told = np.zeros(num, dtype=np.int32), np.zeros(num, dtype=np.int32)
    for task, said in _CORPUS.items():
        of_task = tasks == TASKS.index(task)
        count, cells = int(of_task.sum()), said.num_references * _CORPUS_CELLS
        most[of_task] = _drawn(draws, said.most_tokens, count) + cells
        told[of_task] = _drawn(draws, said.tokens, count) + cells
    noisy = np.full(num, _CORPUS_CELLS, dtype=np.int32)
    return Mix(
        Sizes(tasks=tasks, task_names=TASKS, weights=np.ones(num, dtype=np.float32), clean_tokens=most, noisy_tokens=noisy),
        told, transformer_cost(_CORPUS_DIT, num_draws=_CORPUS_DRAWS),
        {task: said.share for task, said in _CORPUS.items()},
    )  # fmt: skip


def _drawn(draws: np.random.Generator, quarters: tuple[int, ...], num: int) -> Int[np.ndarray, " n"]:
    """Numbers whose least, quarters and most are those given."""
    return np.rint(np.interp(draws.random(num), np.linspace(0, 1, len(quarters)), quarters)).astype(np.int32)


_SIDES = np.array([512, 1024, 1536, 2048, 4096])
_TARGET_SHARES, _REFERENCE_SHARES = (0.25, 0.40, 0.15, 0.17, 0.03), (0.5, 0.4, 0.1, 0.0, 0.0)
_CELL_PX = 32
_LARGE_DIT = full(latent_channels=32, text_width=2560)
_MOST_REFERENCES = 10
_TEXT_TOKENS = (5, 300)


def large_pictures(num: int) -> Mix:
    """Targets of 512² to 4096² pixels in any shape from 1:2 to 2:1, half of them with 1 to 10 references, for the size `full`.

    Weights are any from 0.25 to 2, so that epochs differ in length.
    """
    draws = np.random.default_rng(0)
    tasks = draws.choice(3, num, p=(0.5, 0.3, 0.2)).astype(np.int8)
    clean = draws.integers(_TEXT_TOKENS[0], _TEXT_TOKENS[1] + 1, num, dtype=np.int32)
    references = np.where(tasks == TASKS.index("edit"), 1, draws.integers(2, _MOST_REFERENCES + 1, num, dtype=np.int8))
    references[tasks == TASKS.index("t2i")] = 0
    for number in range(_MOST_REFERENCES):
        has = np.flatnonzero(references > number)
        clean[has] += _cells(draws, _REFERENCE_SHARES, len(has))
    sizes = Sizes(
        tasks=tasks, task_names=TASKS, weights=draws.uniform(0.25, 2.0, num).astype(np.float32),
        clean_tokens=clean, noisy_tokens=_cells(draws, _TARGET_SHARES, num),
    )  # fmt: skip
    return Mix(sizes, clean, transformer_cost(_LARGE_DIT), {"t2i": 0.5, "edit": 0.3, "compose": 0.2})


def _cells(draws: np.random.Generator, shares: tuple[float, ...], num: int) -> Int[np.ndarray, " n"]:
    """Latent cells of pictures whose area is that of a square of a drawn side."""
    sides = _SIDES[draws.choice(len(_SIDES), num, p=shares)]
    stretch = np.exp2(draws.uniform(-0.5, 0.5, num).astype(np.float32))
    return (np.rint(sides * stretch / _CELL_PX) * np.rint(sides / stretch / _CELL_PX)).astype(np.int32)


def without_long(mix: Mix, max_tokens: int) -> Mix:
    """The samples that fit a pack."""
    fits = mix.sizes.clean_tokens + mix.sizes.noisy_tokens <= max_tokens
    return mix._replace(told_tokens=mix.told_tokens[fits], sizes=chosen(mix.sizes, np.flatnonzero(fits)))


def chosen(sizes: Sizes, samples: Int[np.ndarray, " k"]) -> Sizes:
    """Sizes of the given samples."""
    return Sizes(
        sizes.tasks[samples], sizes.task_names, sizes.weights[samples], sizes.clean_tokens[samples], sizes.noisy_tokens[samples]
    )
