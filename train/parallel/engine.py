"""What the loop asks of a way to train one network on many workers."""

from collections.abc import Mapping
from typing import Generic, Protocol, runtime_checkable

from torch import Tensor, nn

from models.context import Context
from train.objectives.contract import B, LossTerms, Objective

Tensors = dict[str, Tensor]
Checkpointed = dict[str, Mapping[str, object]]
"""Nested state as torch.distributed.checkpoint writes it; the same names under every engine."""


class LossModule(nn.Module, Generic[B]):
    """The objective's loss as a module, so that hooks of sharding engines stand around the whole pass."""

    def __init__(self, objective: Objective[B]) -> None:
        super().__init__()
        self.network = objective.network
        self._loss = objective.loss

    def forward(self, batch: B, phase: str, context: Context | None) -> LossTerms:
        """`Objective.loss`."""
        return self._loss(batch, phase, context)


@runtime_checkable
class Engine(Protocol[B]):
    """A network on this worker, its gradients and its optimizers."""

    @property
    def needs_equal_passes(self) -> bool:
        """Whether every worker must run equally many passes, because a pass sends and receives."""
        ...

    @property
    def can_skip(self) -> bool:
        """Whether a step can be left untaken once its gradient is known."""
        ...

    def begin(self, phase: str, *, frozen: tuple[str, ...]) -> None:
        """Make the phase's parameters, and no others, take gradients.

        Args:
            frozen: prefixes of names of parameters that stand still.
        """
        ...

    def loss(self, batch: B, phase: str, context: Context | None) -> LossTerms:
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
