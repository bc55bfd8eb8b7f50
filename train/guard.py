"""What a run does about steps that would harm it: they are not taken; too many in a row, and it goes back.

Judged is what every worker agrees on, the loss and the gradient norm of the whole step, so all decide alike. The data is a pure
function of the step, so going back meets the same steps again: those that struck are remembered and left out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from annotated_types import Ge, Gt
from pydantic import BaseModel

_MEMORY = 0.98
"""Weight of the past in the running norm."""


class GuardConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """When a step is not taken, and when a run goes back."""

    spike_factor: Annotated[float, Gt(1.0)] = 20.0
    """A gradient norm above this multiple of its running mean is a spike."""
    spikes_after: Annotated[int, Ge(1)] = 50
    """Steps before norms are held against their mean."""
    strikes: Annotated[int, Ge(1)] = 3
    """Steps in a row that are not taken before the run goes back to its newest checkpoint."""
    rollbacks: Annotated[int, Ge(0)] = 3
    """Times a run may go back before it gives up."""


Finding = Literal["fine", "not finite", "spike"]


class Diverged(ValueError):
    """A run went back as often as it may and struck again."""


class RolledBack(Exception):
    """The run is to go on from its newest checkpoint."""


@dataclass(frozen=True)
class Norms:
    """Gradient norms of one phase so far."""

    mean: float = 0.0
    """Over the last steps, mostly."""
    num: int = 0

    def and_then(self, norm: float) -> "Norms":
        """With one more."""
        weight = max(1 - _MEMORY, 1 / (self.num + 1))
        return Norms(self.mean + weight * (norm - self.mean), self.num + 1)


@dataclass(frozen=True)
class Memory:
    """What the guard must not forget between processes."""

    norms: Mapping[str, Norms] = field(default_factory=dict)
    """By phase: updates that alternate have gradients of different sizes."""
    struck: tuple[int, ...] = ()
    """Steps that were not taken, in a row."""
    left_out: tuple[int, ...] = ()
    """Steps never to be taken: they struck before the run went back."""
    num_rollbacks: int = 0


class Guard:
    """Judges every step of a run."""

    def __init__(self, config: GuardConfig, memory: Memory | None = None) -> None:
        self.config = config
        self.memory = memory or Memory()

    def leaves_out(self, step: int) -> bool:
        """Whether the step is known to do harm."""
        return step in self.memory.left_out

    def judge(self, phase: str, loss: float, norm: float) -> Finding:
        """Whether a phase's update with this loss and gradient norm may be taken."""
        norms = self.memory.norms
        known = norms.get(phase, Norms())
        if not math.isfinite(loss) or not math.isfinite(norm):
            return "not finite"
        if known.num >= self.config.spikes_after and norm > self.config.spike_factor * known.mean:
            return "spike"
        self.memory = replace(self.memory, norms={**norms, phase: known.and_then(norm)})
        return "fine"

    def end_row(self) -> None:
        """A step was taken, with all its phases: strikes are counted anew."""
        self.memory = replace(self.memory, struck=())

    def strike(self, step: int, *, can_skip: bool) -> None:
        """Count a step that is not taken.

        Args:
            can_skip: whether weights are as they were before the step; if not, the first strike sends the run back.

        Raises:
            RolledBack: the run is to go on from its newest checkpoint, without the steps that struck.
            Diverged: it has gone back too often.
        """
        struck = (*self.memory.struck, step)
        if can_skip and len(struck) < self.config.strikes:
            self.memory = replace(self.memory, struck=struck)
            return
        if self.memory.num_rollbacks >= self.config.rollbacks:
            raise Diverged(
                f"steps {', '.join(map(str, struck))} struck after {self.memory.num_rollbacks} returns to a checkpoint; "
                "lower optim.adamw_lr and optim.muon_lr, or look at the samples named in the log and select without them"
            )
        left_out = tuple(sorted({*self.memory.left_out, *struck}))
        self.memory = replace(self.memory, struck=(), left_out=left_out, num_rollbacks=self.memory.num_rollbacks + 1)
        raise RolledBack

    def recall(self, stored: Memory) -> None:
        """Take up the memory of a checkpoint, the row of strikes before it too; what has struck since then stays left out."""
        left_out = tuple(sorted({*stored.left_out, *self.memory.left_out}))
        rollbacks = max(stored.num_rollbacks, self.memory.num_rollbacks)
        struck = tuple(step for step in stored.struck if step not in left_out)
        self.memory = replace(stored, struck=struck, left_out=left_out, num_rollbacks=rollbacks)
