"""Replicated (DDP) and sharded (FSDP2, HSDP) training with torch's own means.

Replicas sum gradients by hand, bucket after bucket, rather than through DistributedDataParallel: a step runs several backward
passes, and the sum over slots, not the mean over workers, is what the loss is defined by. Sharding is `fully_shard` (Zhao et al.
2023, arXiv:2304.11277) on every block and on the rest, over a one-dimensional mesh or over (replica, shard).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    OptimizerStateType,
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from models.context import Context
from train.objectives.contract import B, LossTerms, ParameterGroup
from train.optim import make_states_known, of_phase, parameters_of, set_rates
from train.parallel.engine import Checkpointed, LossModule, OptimizerState, Tensors

_OPTIONS = StateDictOptions(ignore_frozen_params=True)
_BUCKET_ELEMENTS = 1 << 24
"""Gradients sent in one message: 64 MiB."""


class NativeEngine(Generic[B]):
    """One process group, torch optimizers."""

    can_skip = True

    def __init__(
        self, module: LossModule[B], groups: Sequence[ParameterGroup], optimizers: Mapping[str, Optimizer], *,
        clip_norm: float, is_sharded: bool,
    ) -> None:  # fmt: skip
        self._module, self._groups, self._optimizers, self._clip_norm = module, groups, optimizers, clip_norm
        make_states_known(optimizers.values())
        self._norm = 0.0
        self.network: nn.Module = module.network
        self.needs_equal_passes = is_sharded

    def moves(self, phase: str, *, frozen: tuple[str, ...]) -> bool:
        return any(does_move for _, does_move in self._moved(phase, frozen))

    def begin(self, phase: str, *, frozen: tuple[str, ...]) -> None:
        for parameter, does_move in self._moved(phase, frozen):
            parameter.requires_grad_(does_move)

    def _moved(self, phase: str, frozen: tuple[str, ...]) -> Iterator[tuple[nn.Parameter, bool]]:
        """Every parameter, and whether a phase moves it."""
        moved = {id(parameter) for parameter in parameters_of(self._groups, phase)}
        for name, parameter in self.network.named_parameters():
            yield parameter, id(parameter) in moved and not name.startswith(frozen)

    def loss(self, batch: B, phase: str, context: Context | None) -> LossTerms:
        return self._module(batch, phase, context)

    def backward(self, loss: Tensor, *, is_last: bool) -> None:  # noqa: ARG002  gradients are summed when all are there
        loss.backward()

    def gradient_norm(self, phase: str) -> float:
        parameters = [parameter for parameter in parameters_of(self._groups, phase) if parameter.requires_grad]
        if not self.needs_equal_passes:
            _sum_over_workers(parameters)
        norm = nn.utils.clip_grad_norm_(parameters, self._clip_norm)
        self._norm = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        return self._norm

    def update(self, phase: str, *, rate: float) -> float:
        moved = of_phase(self._optimizers, phase)
        set_rates(moved, rate)
        for optimizer in moved:
            optimizer.step()
        self.drop(phase)
        return self._norm

    def drop(self, phase: str) -> None:
        for optimizer in of_phase(self._optimizers, phase):
            optimizer.zero_grad(set_to_none=True)

    def weights(self) -> Tensors:
        return self.network.state_dict()

    def whole(self, held: Mapping[str, Tensor]) -> Tensors:
        return {name: tensor.full_tensor() if isinstance(tensor, DTensor) else tensor for name, tensor in held.items()}

    def checkpointed(self, average: Mapping[str, Tensor]) -> Checkpointed:
        self._take_gradients()
        states = {name: self._state_of(optimizer) for name, optimizer in self._optimizers.items()}
        return {"network": self.weights(), "average": dict(average), "optimizers": states}

    def take_up(self, state: Checkpointed) -> Tensors:
        self.network.load_state_dict(state["network"])
        for name, optimizer in self._optimizers.items():
            stored = cast("OptimizerStateType", state["optimizers"][name])
            set_optimizer_state_dict(self.network, optimizer, stored, options=_OPTIONS)
        return state["average"]

    def _state_of(self, optimizer: Optimizer) -> OptimizerState:
        """Torch types it as any nesting of dictionaries."""
        return cast("OptimizerState", get_optimizer_state_dict(self.network, optimizer, options=_OPTIONS))

    def _take_gradients(self) -> None:
        """Names of optimizer states are found among parameters that take gradients."""
        for group in self._groups:
            for parameter in group.parameters:
                parameter.requires_grad_(True)


def _sum_over_workers(parameters: Sequence[nn.Parameter]) -> None:
    """Add up every worker's gradients; a parameter without one counts as zero."""
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    for bucket in _buckets(parameters):
        flat = torch.cat([gradient.flatten() for parameter in bucket if (gradient := parameter.grad) is not None])
        dist.all_reduce(flat)
        for parameter, piece in zip(bucket, flat.split([parameter.numel() for parameter in bucket]), strict=True):
            parameter.grad = piece.view_as(parameter)


def _buckets(parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    bucket: list[nn.Parameter] = []
    for parameter in parameters:
        if bucket and sum(held.numel() for held in bucket) + parameter.numel() > _BUCKET_ELEMENTS:
            yield bucket
            bucket = []
        bucket.append(parameter)
    yield bucket
