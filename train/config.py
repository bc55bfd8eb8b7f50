"""What defines a training run."""

from typing import Annotated

from annotated_types import Gt
from pydantic import BaseModel, model_validator

from curation.tables import TableRef
from train.checkpoint import CheckpointConfig
from train.feed import FeedConfig
from train.guard import GuardConfig
from train.health import HealthConfig
from train.loop import LoopConfig
from train.objectives import ObjectiveConfig
from train.objectives.flow import FlowConfig
from train.optim import OptimConfig
from train.parallel import ParallelConfig
from train.parallel.memory import MemoryConfig
from train.parallel.replicated import DdpConfig
from train.plan import PlanConfig
from train.preview import PreviewConfig

Positive = Annotated[int, Gt(0)]


class FitConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One training run, whole."""

    name: str
    """Short name of what is trained; folders are called after it."""
    objective: ObjectiveConfig
    """What is trained, and towards what."""
    data: TableRef
    """``images``, narrowed by a selection."""
    plan: PlanConfig
    """Order and mixture of samples, stage by stage."""
    feed: FeedConfig = FeedConfig()
    """How batches are fetched."""
    optim: OptimConfig
    """Rates."""
    loop: LoopConfig
    """Arithmetic."""
    guard: GuardConfig = GuardConfig()
    """What becomes of steps that would do harm."""
    parallel: ParallelConfig = DdpConfig()
    """How the network is spread over workers."""
    memory: MemoryConfig = MemoryConfig()
    """What is kept for the backward pass, and what is compiled."""
    checkpoint: CheckpointConfig
    """How often progress is made safe."""
    preview: PreviewConfig | None = None
    """Pictures of fixed prompts while a generator is trained."""
    health: HealthConfig = HealthConfig()
    """Which nodes may take part."""
    log_every_steps: Positive = 10
    """Steps between readings of the meters."""
    num_workers: Positive = 1
    """Ray Train workers."""
    min_workers: Positive | None = None
    """Workers with which the run goes on when there are no more; None for `num_workers`, and the run waits for them."""
    use_gpu: bool = False
    """One GPU for each worker."""
    cpus_per_worker: Annotated[float, Gt(0.0)] = 1
    """Logical CPUs of Ray that each worker takes."""
    threads_per_worker: Positive = 2
    """Torch threads of each worker."""
    hang_s: Annotated[float, Gt(0.0)] = 60.0
    """Seconds that a step may take before the worker that holds it up is named and the group started anew."""
    max_failures: Annotated[int, Gt(-1)] = 3
    """Times that a run whose worker died goes on by itself."""

    @property
    def num_steps(self) -> int:
        """Optimizer steps of all stages."""
        return self.plan.num_steps

    @model_validator(mode="after")
    def _previews_are_drawn_by_generators(self) -> "FitConfig":
        if self.preview is not None and not isinstance(self.objective, FlowConfig):
            raise ValueError(f"preview needs an objective that draws, 'flow', got {self.objective.kind!r}; leave preview out")
        return self

    @model_validator(mode="after")
    def _slots_divide(self) -> "FitConfig":
        fewest = self.min_workers or self.num_workers
        if fewest > self.num_workers:
            raise ValueError(f"min_workers={fewest} is more than num_workers={self.num_workers}; give at most as many")
        for size in range(fewest, self.num_workers + 1):
            if self.plan.num_slots % size:
                raise ValueError(f"plan.num_slots={self.plan.num_slots} must be a multiple of the workers, {size}; change one")
        return self
