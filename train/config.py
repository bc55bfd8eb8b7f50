"""What defines a training run."""

from typing import Annotated

from annotated_types import Gt
from pydantic import BaseModel, model_validator

from curation.tables import TableRef
from models.context import require_heads
from train.agenda import sharers
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
from train.parallel.sharded import FsdpConfig, require_replicas
from train.parallel.zero import ZeroConfig
from train.plan import PlanConfig
from train.preview import PreviewConfig

Positive = Annotated[int, Gt(0)]


EXECUTION = (
    "feed", "parallel", "memory", "health", "checkpoint", "preview", "log_every_steps", "num_workers", "min_workers", "use_gpu",
    "cpus_per_worker", "threads_per_worker", "hang_s", "max_failures",
)  # fmt: skip
"""Settings that a run may be started with anew, to go on from its newest checkpoint: they change rounding at most."""


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
    checkpoint: CheckpointConfig = CheckpointConfig()
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

    def identity(self) -> "FitConfig":
        """What decides the result: the same for runs that differ in where, on how many workers and how watched they train."""
        chosen = {name: getattr(self, name) for name in type(self).model_fields if name not in EXECUTION}
        return type(self)(**chosen)

    @model_validator(mode="after")
    def _previews_are_drawn_by_generators(self) -> "FitConfig":
        if self.preview is not None and not isinstance(self.objective, FlowConfig):
            raise ValueError(f"preview needs an objective that draws, 'flow', got {self.objective.kind!r}; leave preview out")
        return self

    @property
    def worlds(self) -> range:
        """Numbers of workers that it may train on."""
        return range(self.min_workers or self.num_workers, self.num_workers + 1)

    @model_validator(mode="after")
    def _workers_fit(self) -> "FitConfig":
        if not self.worlds:
            raise ValueError(f"min_workers={self.min_workers} is more than num_workers={self.num_workers}; give at most as many")
        for size in self.worlds:
            if self.plan.num_slots % size:
                raise ValueError(f"plan.num_slots={self.plan.num_slots} must be a multiple of the workers, {size}; change one")
            if isinstance(self.parallel, FsdpConfig):
                require_replicas(self.parallel, size)
            if isinstance(self.objective, FlowConfig) and self.plan.context_slots > 1:
                dit, together = self.objective.dit, len(sharers(range(self.plan.context_slots), size))
                require_heads(together, num_heads=dit.num_heads, num_kv_heads=dit.num_kv_heads)
        return self

    @model_validator(mode="after")
    def _deepspeed_can(self) -> "FitConfig":
        if isinstance(self.parallel, ZeroConfig):
            if self.optim.matrices == "muon":
                raise ValueError("parallel.kind=deepspeed trains with AdamW alone; set optim.matrices=adamw, or use fsdp")
            if frozen := [stage.name for stage in self.plan.stages if stage.frozen]:
                raise ValueError(f"parallel.kind=deepspeed cannot freeze parts, stages {frozen} do; use fsdp, or freeze nothing")
        return self
