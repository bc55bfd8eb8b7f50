"""Muon: momentum of a matrix, orthogonalised (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).

Ours rather than torch.optim.Muon because that one iterates in bf16 anywhere, which processors without bf16 units emulate many
times slower than fp32. Here such processors iterate in fp32, and matrices of one shape go through the iteration together.
"""

from collections import defaultdict

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from train.precision import native_precision

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Quintic that lifts small singular values fastest; its results lie in about [0.7, 1.2]."""


class Muon(Optimizer):
    """For matrices only; an update's root mean square is about 0.2 `lr`, AdamW's usual (Liu et al. 2025, arXiv:2502.16982)."""

    def __init__(self, parameters: ParamsT, *, lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        if any(parameter.dim() != 2 for group in self.param_groups for parameter in group["params"]):
            raise ValueError("Muon trains matrices; give other parameters to AdamW")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for shape, alike in by_shape.items():
                momenta = torch.stack([_whole(self._momentum(parameter, group["momentum"])) for parameter in alike])
                updates = orthogonalised(momenta, arithmetic=_arithmetic(momenta.device))
                scale = 0.2 * max(shape) ** 0.5
                for parameter, update in zip(alike, updates, strict=True):
                    kept = parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    kept.add_(_held_like(parameter, update), alpha=-group["lr"] * scale)

    def _momentum(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        assert parameter.grad is not None
        buffer = state["momentum_buffer"].lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(buffer, momentum)  # Nesterov


def orthogonalised(
    matrices: Float[Tensor, "k rows columns"], *, arithmetic: torch.dtype, num_iterations: int = 5
) -> Float[Tensor, "k rows columns"]:
    """Nearly the closest matrices with orthonormal rows (or columns), by Newton-Schulz iteration of the singular values.

    Args:
        arithmetic: what the products are made in; bf16 turns directions by about 1 %, which training does not notice.
    """
    a, b, c = _COEFFICIENTS
    x = matrices.to(arithmetic)
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(num_iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if is_tall else x).to(matrices.dtype)


def _whole(tensor: Tensor) -> Tensor:
    """All of a matrix, gathered where each worker holds a shard of it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _held_like(parameter: nn.Parameter, whole: Tensor) -> Tensor:
    """The part of a matrix that this worker holds of the parameter; every worker has the whole, so nothing is sent."""
    if not isinstance(parameter.data, DTensor):
        return whole
    return distribute_tensor(whole, parameter.data.device_mesh, parameter.data.placements, src_data_rank=None)


def _arithmetic(device: torch.device) -> torch.dtype:
    is_emulated = device.type == "cpu" and native_precision() == "fp32"
    return torch.float32 if is_emulated else torch.bfloat16
