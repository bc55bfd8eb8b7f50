"""Token routing: in training, some noisy tokens of large pictures leave out the blocks in the middle.

TREAD (Krause et al. 2025, arXiv:2501.04765): tokens drawn at random go past the blocks from `first` on and meet the others again
before the last ones; the loss is of all tokens. A step costs less, and drawing pictures is as ever: every token through every
block. Small pictures have no token to spare.

s samples · m noisy tokens · k tokens that take every block
"""

from typing import Annotated, NamedTuple, TypeVar

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from jaxtyping import Int
from pydantic import BaseModel
from torch import Tensor

Numbers = TypeVar("Numbers", float, np.ndarray)


class RoutingConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which tokens leave out which blocks."""

    share: Annotated[float, Gt(0.0), Lt(1.0)] = 0.5
    """Of a picture's tokens that go past."""
    first: Annotated[int, Ge(0)] = 2
    """Blocks that all tokens take at the beginning."""
    last: Annotated[int, Ge(1)] = 4
    """Blocks that all tokens take at the end."""
    min_tokens: Annotated[int, Gt(0)] = 1024
    """Pictures of fewer tokens take every block."""

    def past(self, num_tokens: Numbers) -> Numbers:
        """How many tokens of a picture, or of each of many, leave out blocks."""
        return (num_tokens >= self.min_tokens) * (self.share * num_tokens // 1)


class Route(NamedTuple):
    """The tokens of a pack that take the blocks from `first` to before `end`."""

    first: int
    end: int
    rows: Int[Tensor, " k"]
    """Their rows, in order."""
    lengths: Int[Tensor, " s"]
    """How many of every sample they are."""


def require_blocks(config: RoutingConfig, *, depth: int) -> None:
    """Refuse a transformer that has no block in between.

    Raises:
        ValueError: says how many blocks there are and how many are wanted.
    """
    if config.first + config.last >= depth:
        raise ValueError(
            f"routing.first={config.first} and routing.last={config.last} leave no block of the {depth} to go past; lower them"
        )


def kept_rows(num_tokens: int, config: RoutingConfig, *, generator: torch.Generator) -> Int[Tensor, " k"]:
    """A draw of the tokens of one picture that take every block, in order."""
    kept = num_tokens - int(config.past(float(num_tokens)))
    if kept == num_tokens:
        return torch.arange(num_tokens)
    return torch.randperm(num_tokens, generator=generator)[:kept].sort().values


def joined(parts: list[Int[Tensor, " _"]], lengths: Int[Tensor, " s"], config: RoutingConfig, *, depth: int) -> Route | None:
    """The route of a pack from the draws of its samples (`kept_rows`); None when all tokens take every block."""
    kept = torch.tensor([len(part) for part in parts])
    if bool((kept == lengths).all()):
        return None
    starts = torch.cumsum(lengths, 0) - lengths
    rows = torch.cat([part + start for part, start in zip(parts, starts, strict=True)])
    return Route(config.first, depth - config.last, rows, kept)
