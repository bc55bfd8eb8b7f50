"""From noise to latents: one step of the probability-flow ODE at a time, with classifier-free guidance.

The path is nearly straight where a model is sure, so a better rule pays where it is not: at few steps a rule of second order
takes the curve that Euler's cuts. Errors fall with the square of the step instead of with the step.

n tokens · s samples · c channels
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Le
from jaxtyping import Float
from pydantic import BaseModel
from torch import Tensor

from models.flow import schedule, shift_at

Solver = Literal["euler", "heun", "multistep"]
VelocityAt = Callable[[Float[Tensor, "n c"], Float[Tensor, " s"]], Float[Tensor, "n c"]]
"""Velocity of latents at a time of each sample."""


class SamplerConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How latents are drawn; kept in the bundle, so that preview, evaluation and serving draw alike."""

    num_steps: Annotated[int, Ge(1), Le(1000)]
    """Steps from noise to data."""
    solver: Solver = "euler"
    """Rule of a step: ``euler``; ``heun``, of second order at two evaluations a step; ``multistep``, of second order at one, from
    the velocity of the step before, too (Adams and Bashforth's of two steps, with steps of any lengths)."""
    guidance: Annotated[float, Ge(0.0), Le(20.0)]
    """Weight of the text-conditional direction: 0 ignores the text, 1 is no guidance, above 1 overshoots."""
    reference_guidance: Annotated[float, Ge(0.0), Le(20.0)] = 1.0
    """Weight of the references' direction, likewise; other than 1 it takes an evaluation more."""
    shift: Annotated[float, Gt(0.0)]
    """Time shift towards noise; 1 spaces the steps evenly."""
    shift_tokens: Annotated[int, Gt(0)] | None = None
    """Latent tokens of pictures that `shift` is for; others' goes with the square root (`models.flow.shift_at`). None for all."""

    @property
    def num_branches(self) -> int:
        """Velocities that guidance is made of: of all conditions; without the text; without references, too."""
        if self.reference_guidance != 1.0:
            return 3
        return 1 if self.guidance == 1.0 else 2

    def times(self, num_tokens: int) -> Float[Tensor, " k"]:
        """Times of a picture of so many tokens, from noise to data."""
        known = self.shift_tokens
        shift = self.shift if known is None else shift_at(num_tokens, shift=self.shift, of_tokens=known)
        return schedule(self.num_steps, shift=shift)


class Slope(NamedTuple):
    """The step before: what a rule of several steps remembers."""

    velocity: Float[Tensor, "n c"]
    length: Float[Tensor, "n 1"]


def guided(
    velocities: Sequence[Float[Tensor, "n c"]], *, guidance: float, reference_guidance: float = 1.0
) -> Float[Tensor, "n c"]:
    """One velocity from those of up to three branches (`SamplerConfig.num_branches`), all conditions first.

    Ho & Salimans 2022 (arXiv:2207.12598); apart for text and references after Brooks et al. 2022 (arXiv:2211.09800, eq. 3).
    """
    full, *others = velocities
    if not others:
        return full
    without_text, *rest = others
    towards_text = guidance * (full - without_text)
    if not rest:
        return without_text + towards_text
    return rest[0] + reference_guidance * (without_text - rest[0]) + towards_text


def advanced(
    solver: Solver, latents: Float[Tensor, "n c"], velocity_at: VelocityAt, *, time: Float[Tensor, " s"],
    next_time: Float[Tensor, " s"], length: Float[Tensor, "n 1"], before: Slope | None,
) -> tuple[Float[Tensor, "n c"], Slope]:  # fmt: skip
    """The latents one step further, and what the next step may want to know of this one.

    Args:
        length: next_time - time of every token's sample.
        before: what the step before gave; None at the first.
    """
    velocity = velocity_at(latents, time)
    slope = velocity
    if solver == "heun" and bool((next_time > 0).any()):             # the last step ends where nothing is left to ask
        slope = (velocity + velocity_at(latents + length * velocity, next_time)) / 2
    elif solver == "multistep" and before is not None:
        ratio = length / before.length
        slope = velocity + ratio / 2 * (velocity - before.velocity)
    return latents + length * slope, Slope(velocity, length)
