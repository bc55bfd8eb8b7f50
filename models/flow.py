"""Straight paths between data and noise.

Time runs from data (t = 0) to noise (t = 1); the network predicts the velocity dx/dt = noise - data.
Chosen over noise prediction: the target has unit scale at every t, so no loss weighting by signal-to-noise ratio is needed.
Liu et al. 2022 (arXiv:2209.03003); times and their shift after Esser et al. 2024 (arXiv:2403.03206, section 3.1 and eq. 23).

n tokens (of any number of samples) · c channels · s samples
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def point_on_path(data: Float[Tensor, "n c"], noise: Float[Tensor, "n c"], time: Float[Tensor, " n"]) -> Float[Tensor, "n c"]:
    """Where the straight path is at `time`: data at 0, noise at 1."""
    t = time[:, None]
    return (1 - t) * data + t * noise


def velocity_target(data: Float[Tensor, "n c"], noise: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    """dx/dt along the straight path, the same at every time."""
    return noise - data


def data_from_velocity(
    point: Float[Tensor, "n c"], velocity: Float[Tensor, "n c"], time: Float[Tensor, " n"]
) -> Float[Tensor, "n c"]:
    """The end of the straight path at t = 0, seen from `point` at `time`: x0 = x_t - t v."""
    return point - time[:, None] * velocity


def shift_time(time: Float[Tensor, "*s"], shift: float) -> Float[Tensor, "*s"]:
    """Move times towards noise by the factor `shift` (1 leaves them): t' = a t / (1 + (a - 1) t) (Esser et al. 2024, eq. 23)."""
    return shift * time / (1 + (shift - 1) * time)


def shift_at(num_tokens: int, *, shift: float, of_tokens: int) -> float:
    """Time shift of a picture of so many tokens, when one of `of_tokens` has `shift`: larger pictures bear more noise.

    It grows with the square root of the tokens, which keeps the uncertainty of the whole alike (Esser et al. 2024, eq. 23).
    """
    return shift * math.sqrt(num_tokens / of_tokens)


def logit_normal_times(
    num_samples: int, *, generator: torch.Generator, shift: float, uniform_share: float
) -> Float[Tensor, " s"]:
    """Training times in (0, 1): logit-normal(0, 1), shifted, with `uniform_share` of them uniform so that no time starves."""
    normal = torch.randn(num_samples, generator=generator)
    uniform = torch.rand(num_samples, generator=generator)
    is_uniform = torch.rand(num_samples, generator=generator) < uniform_share
    return torch.where(is_uniform, uniform, shift_time(torch.sigmoid(normal), shift))


def schedule(num_steps: int, *, shift: float) -> Float[Tensor, " k"]:
    """Sampling times from 1 down to 0, `num_steps` + 1 of them, spaced evenly before the shift."""
    return shift_time(torch.linspace(1.0, 0.0, num_steps + 1), shift)
