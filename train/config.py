"""What defines a training run."""

from typing import Annotated

from annotated_types import Gt
from pydantic import BaseModel, model_validator

from curation.tables import TableRef
from train.feed import FeedConfig
from train.loop import LoopConfig
from train.objectives import ObjectiveConfig
from train.optim import OptimConfig
from train.plan import PlanConfig

Positive = Annotated[int, Gt(0)]


class CheckpointConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How often progress is made safe."""

    every_steps: Positive
    """Steps between checkpoints; the last step is always kept."""
    keep: Positive = 2
    """Newest checkpoints kept."""


class FitConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One training run, whole."""

    name: str
    """Short name of what is trained; folders are called after it."""
    objective: ObjectiveConfig
    """What is trained, and towards what."""
    data: TableRef
    """``images``, narrowed by a selection."""
    plan: PlanConfig
    """Order and mixture of samples."""
    feed: FeedConfig = FeedConfig()
    """How batches are fetched."""
    optim: OptimConfig
    """Rates."""
    loop: LoopConfig
    """Length and arithmetic."""
    checkpoint: CheckpointConfig
    """How often progress is made safe."""
    log_every_steps: Positive = 10
    """Steps between readings of the meters."""
    num_workers: Positive = 1
    """Ray Train workers."""
    threads_per_worker: Positive = 2
    """Torch threads of each worker."""

    @model_validator(mode="after")
    def _slots_divide(self) -> "FitConfig":
        if self.plan.num_slots % self.num_workers:
            raise ValueError(f"plan.num_slots={self.plan.num_slots} must be a multiple of num_workers={self.num_workers}")
        return self
