"""Everything that makes the next step the one that would have followed: what checkpoints hold.

The place in the data needs no more than the step number, because the plan and every random draw are functions of it.
"""

from typing import Generic

from pydantic import BaseModel
from torch import Tensor

from train.ema import Average
from train.guard import Guard, Memory
from train.objectives.contract import B
from train.parallel.engine import Checkpointed, Engine


class Facts(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What a checkpoint holds besides tensors."""

    num_steps_done: int
    """Optimizer steps behind the network."""
    guard: Memory
    """What has struck so far."""


class TrainState(Generic[B]):
    """A network being trained, with its average, the guard's memory and the number of steps behind it."""

    def __init__(self, engine: Engine[B], guard: Guard, *, ema_decay: float) -> None:
        self.engine = engine
        self.guard = guard
        self.average = Average(engine.weights(), decay=ema_decay)
        self.num_steps_done = 0

    def begin_average(self) -> None:
        """Let the average start from the weights as they are."""
        self.average = Average(self.engine.weights(), decay=self.average.decay)

    def tensors(self) -> Checkpointed:
        """What a checkpoint holds as tensors; every worker must ask."""
        return self.engine.checkpointed(self.average.state)

    def facts(self) -> Facts:
        """What a checkpoint holds besides."""
        return Facts(num_steps_done=self.num_steps_done, guard=self.guard.memory)

    def take_up(self, tensors: Checkpointed, facts: Facts) -> None:
        """Go on from a checkpoint, read into the tensors that `tensors` gave."""
        self.average.state = self.engine.take_up(tensors)
        self.num_steps_done = facts.num_steps_done
        self.guard.recall(facts.guard)

    def averaged(self) -> dict[str, Tensor]:
        """The whole averaged weights, by name; every worker must ask."""
        return self.engine.whole(self.average.state)
