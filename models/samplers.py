"""From noise to latents: one step of the probability-flow ODE at a time, with classifier-free guidance.

n tokens · c channels
"""

from typing import Annotated

from annotated_types import Ge, Gt, Le
from jaxtyping import Float
from pydantic import BaseModel
from torch import Tensor


class SamplerConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How latents are drawn; kept in the bundle, so that preview, evaluation and serving draw alike."""

    num_steps: Annotated[int, Ge(1), Le(1000)]
    """Euler steps."""
    guidance: Annotated[float, Ge(0.0), Le(20.0)]
    """Weight of the text-conditional direction: 0 ignores the text, 1 is no guidance, above 1 overshoots."""
    shift: Annotated[float, Gt(0.0)]
    """Time shift towards noise; 1 spaces the steps evenly."""


def guided(conditional: Float[Tensor, "n c"], unconditional: Float[Tensor, "n c"], guidance: float) -> Float[Tensor, "n c"]:
    """From the unconditional through the conditional velocity (Ho & Salimans 2022, arXiv:2207.12598)."""
    return unconditional + guidance * (conditional - unconditional)


def euler_step(
    latents: Float[Tensor, "n c"], velocity: Float[Tensor, "n c"], *, time: float, next_time: float
) -> Float[Tensor, "n c"]:
    """x_{t'} = x_t + (t' - t) v."""
    return latents + (next_time - time) * velocity
