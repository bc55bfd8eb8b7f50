"""Learning rates over a run, as factors on the peak rates: a warm-up, then one of four courses."""

import math
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, Field

Share = Annotated[float, Ge(0.0), Le(1.0)]
NumSteps = Annotated[int, Ge(0)]


class Constant(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The peak rate to the end."""

    kind: Literal["constant"] = "constant"
    warmup_steps: NumSteps
    """Steps of linear warm-up."""


class Linear(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A straight line down from the first step."""

    kind: Literal["linear"] = "linear"
    warmup_steps: NumSteps
    """Steps of linear warm-up."""
    final_share: Share
    """Rate at the end, as a share of the peak."""


class Cosine(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Half a cosine down (Loshchilov & Hutter 2016, arXiv:1608.03983, without restarts)."""

    kind: Literal["cosine"] = "cosine"
    warmup_steps: NumSteps
    """Steps of linear warm-up."""
    final_share: Share
    """Rate at the end, as a share of the peak."""


class WarmupStableDecay(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The peak rate, then a straight line down at the end (Hu et al. 2024, arXiv:2404.06395, section 4)."""

    kind: Literal["wsd"] = "wsd"
    warmup_steps: NumSteps
    """Steps of linear warm-up."""
    decay_steps: Annotated[int, Gt(0)]
    """Steps of the descent at the end."""
    final_share: Share
    """Rate at the end, as a share of the peak."""


Schedule = Annotated[Constant | Linear | Cosine | WarmupStableDecay, Field(discriminator="kind")]


def rate_factor(schedule: Schedule, step: int, *, num_steps: int) -> float:
    """What peak rates are multiplied by in optimizer step `step`, counted from 0, of `num_steps`."""
    warmup = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else 1.0
    match schedule:
        case Constant():
            return warmup
        case Linear(final_share=final):
            return warmup * _between(1.0, final, step / num_steps)
        case Cosine(final_share=final):
            return warmup * (final + (1 - final) * (1 + math.cos(math.pi * step / num_steps)) / 2)
        case WarmupStableDecay(decay_steps=decay, final_share=final):
            return warmup * _between(1.0, final, max(0, step - (num_steps - decay)) / decay)


def _between(start: float, end: float, share: float) -> float:
    return start - (start - end) * share
