"""What the loop asks of a way to train one network on many workers."""

from collections.abc import Mapping
from typing import Generic, Protocol, TypedDict, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from models.context import Context
from train.objectives.contract import B, LossTerms, Objective
from train.precision import Precision

Tensors = dict[str, Tensor]
B_contra = TypeVar("B_contra", contravariant=True)
"""The batch type of an objective, for what only takes batches in."""


class OptimizerState(TypedDict):
    """What an optimizer remembers, as torch.distributed.checkpoint names it."""

    state: dict[str, Tensors]
    """By the parameter's name, then by the quantity's."""
    param_groups: list[dict[str, object]]
    """Settings of every group of parameters, with the names of its `params`."""


class Checkpointed(TypedDict):
    """The tensors of a checkpoint; the same names under every engine."""

    network: Tensors
    average: Tensors
    optimizers: dict[str, OptimizerState]


class LossModule(nn.Module, Generic[B]):
    """The objective's loss as a module, so that hooks of sharding engines stand around the whole pass.

    The arithmetic is chosen inside: DeepSpeed turns off an autocast that stands outside of it.
    """

    def __init__(self, objective: Objective[B], *, precision: Precision, device: torch.device) -> None:
        super().__init__()
        self.network = objective.network
        self._loss, self._precision, self._device = objective.loss, precision, device

    def forward(self, batch: B, phase: str, context: Context | None) -> LossTerms:
        """`Objective.loss`, in the run's arithmetic."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bf16"):
            return self._loss(batch, phase, context)


@runtime_checkable
class Engine(Protocol[B_contra]):
    """A network on this worker, its gradients and its optimizers."""

    @property
    def needs_equal_passes(self) -> bool:
        """Whether every worker must run equally many passes, because a pass sends and receives."""
        ...

    @property
    def can_skip(self) -> bool:
        """Whether a step can be left untaken once its gradient is known."""
        ...

    def moves(self, phase: str, *, frozen: tuple[str, ...]) -> bool:
        """Whether the phase has parameters that none of these prefixes of names makes stand still."""
        ...

    def begin(self, phase: str, *, frozen: tuple[str, ...]) -> None:
        """Make the phase's parameters, and no others, take gradients.

        Args:
            frozen: prefixes of names of parameters that stand still.
        """
        ...

    def loss(self, batch: B_contra, phase: str, context: Context | None) -> LossTerms:
        """The objective's loss."""
        ...

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """Differentiate; gradients add up until `update` or `drop`."""
        ...

    def gradient_norm(self, phase: str) -> float:
        """Sum gradients over workers, in fp32, clip them, and give the norm they had; only where a step `can_skip`."""
        ...

    def update(self, phase: str, *, rate: float) -> float:
        """One step of the phase's optimizers at `rate` times their peak rates; the norm of the gradient before clipping."""
        ...

    def drop(self, phase: str) -> None:
        """Forget the gradients."""
        ...

    def weights(self) -> Tensors:
        """Weights and buffers by name, as this worker holds them; not copied."""
        ...

    def whole(self, held: Mapping[str, Tensor]) -> Tensors:
        """All of what workers hold parts of, in the form of `weights`; every worker must ask."""
        ...

    def checkpointed(self, average: Mapping[str, Tensor]) -> Checkpointed:
        """Network, average and optimizers for a checkpoint; every worker must ask."""
        ...

    def take_up(self, state: Checkpointed) -> Tensors:
        """Go on from what a checkpoint held, read into the tensors of `checkpointed`; the average as this worker holds it."""
        ...
