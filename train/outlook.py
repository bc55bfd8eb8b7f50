"""What training a generator will take, by arithmetic and before anything is started: memory of a worker, operations, days.

Memory is of what is known to be held: fp32 weights, gradients, optimizer states and averages, whole or as the shards that the
engine leaves on a worker; blocks that FSDP has gathered in bf16; what a pack of `max_tokens` keeps for the backward pass. The
allocator's loss, kernels' workspaces and DeepSpeed's buffers come on top. Days are operations over what GPUs reach, which is
assumed, not measured; nothing is said of them for runs without GPUs.
"""

from collections.abc import Iterator
from math import sqrt
from typing import NamedTuple

import numpy as np
import torch

from curation.tasks import Task
from models.cost import TRAINING_PASSES, transformer_cost
from models.dit import DiT
from models.sizes import DiTConfig
from models.vlm import VlmConfig
from train.config import FitConfig
from train.objectives.flow import FlowConfig
from train.parallel.memory import MemoryConfig
from train.parallel.replicated import DdpConfig
from train.parallel.sharded import FsdpConfig
from train.parallel.zero import ZeroConfig
from train.plan import StageConfig

GPU_FLOPS_PER_S = 989e12
"""Dense bf16 matrix products of an H100 or H200 by its data sheet."""
UTILISATION = 0.4
"""Of it that a well-tuned run reaches."""
WORDS = 128
"""Text tokens taken for a sample."""
REFERENCES: dict[Task, int] = {"t2i": 0, "edit": 1, "compose": 2, "set": 0}
"""References, of the target's size, taken for a sample of each task."""
TARGETS: dict[Task, int] = {"t2i": 1, "edit": 1, "compose": 1, "set": 4}
"""Targets taken for a sample of each task; all but the last are seen clean by later ones."""

_FP32, _BF16 = 4, 2
_GATHERED_BLOCKS = 2
"""Blocks that FSDP holds whole at a time: the one at work and the next."""


class Holdings(NamedTuple):
    """Bytes on one worker."""

    weights: float
    gradients: float
    optimizer: float
    average: float
    gathered: float
    """Weights that FSDP holds whole, or that autocast holds in bf16 beside the others."""
    orthogonalised: float
    """What Muon holds at a time: all matrices of one shape, whole, in fp32, one by one and stacked."""
    activations: float


class StageOutlook(NamedTuple):
    """What one stage takes."""

    name: str
    tokens: int
    """Noisy tokens taken for a picture."""
    latents: str
    """Column that they come from."""
    flops_per_sample: float
    """Forward and backward, over the stage's mixture of tasks."""
    flops: float
    """All of its steps."""

    def days(self, num_gpus: int) -> float:
        """At the utilisation that is assumed."""
        return self.flops / (num_gpus * GPU_FLOPS_PER_S * UTILISATION) / 86_400


class Outlook(NamedTuple):
    """What a run takes."""

    parameters: int
    by_muon: int
    holdings: Holdings
    stages: tuple[StageOutlook, ...]


def outlook(config: FitConfig, objective: FlowConfig) -> Outlook:
    """Counted on a transformer without memory."""
    with torch.device("meta"):
        dit = DiT(objective.dit)
    parameters = sum(parameter.numel() for parameter in dit.parameters())
    by_muon = sum(parameter.numel() for parameter in dit.block_matrices()) if config.optim.matrices == "muon" else 0
    stages = tuple(_stage(stage, config, objective) for stage in config.plan.stages)
    return Outlook(parameters, by_muon, _holdings(config, objective.dit, parameters, by_muon), stages)


def lines(found: Outlook, config: FitConfig) -> Iterator[str]:
    """In words."""
    yield f"about {found.parameters / 1e9:,.3g} B parameters, {found.by_muon / 1e9:,.3g} B of them Muon's"
    parts = ", ".join(f"{name} {size / 1e9:,.1f}" for name, size in found.holdings._asdict().items())
    yield f"{sum(found.holdings) / 1e9:,.1f} GB on each of {config.num_workers} workers ({config.parallel.kind}): {parts}"
    for stage in found.stages:
        each = f"{stage.tokens:,} tokens a picture of {stage.latents}"
        yield f"stage {stage.name}: {each}, {stage.flops_per_sample / 1e12:,.3g} TFLOP a sample"
    if config.use_gpu:
        days = [f"{stage.name} {_time(stage.days(config.num_workers))}" for stage in found.stages]
        rate = f"{UTILISATION:.0%} of {GPU_FLOPS_PER_S / 1e12:,.0f} TFLOP/s"
        yield f"on {config.num_workers} GPUs that reach {rate}: {', '.join(days)}"
    if isinstance(config.objective, FlowConfig) and isinstance(config.objective.text_encoder, VlmConfig):
        yield f"what reads texts, {config.objective.text_encoder.model}, is on every worker besides; it is not counted"


def _time(days: float) -> str:
    return f"{days:,.1f} days" if days >= 1 else f"{24 * days:,.2g} hours"


def _stage(stage: StageConfig, config: FitConfig, objective: FlowConfig) -> StageOutlook:
    fewest, most = stage.target_tokens or (objective.shift_tokens, objective.shift_tokens)
    tokens = round(sqrt(fewest * most))
    cost = transformer_cost(objective.dit, num_draws=objective.num_draws, routing=objective.routing)
    clean = np.array([WORDS + (REFERENCES[task] + TARGETS[task] - 1) * tokens for task in stage.task_shares])
    noisy = np.array([TARGETS[task] * tokens for task in stage.task_shares])
    shares = np.array(list(stage.task_shares.values()))
    flops = TRAINING_PASSES * float(shares @ cost.of(clean, noisy))
    return StageOutlook(stage.name, tokens, stage.latents, flops, flops * config.plan.batch_samples * stage.num_steps)


def _holdings(config: FitConfig, dit: DiTConfig, parameters: int, by_muon: int) -> Holdings:
    weights, gradients, optimizer, whole = _shares(config, dit)
    half = _BF16 if config.loop.precision == "bf16" else _FP32
    states = _FP32 * by_muon + 2 * _FP32 * (parameters - by_muon)
    largest = 2 * dit.width * dit.ffn_width * dit.depth              # gate and up projections of all blocks
    return Holdings(
        weights=weights * _FP32 * parameters, gradients=gradients * _FP32 * parameters, optimizer=optimizer * states,
        average=weights * _FP32 * parameters, gathered=whole * half * parameters,
        orthogonalised=2.0 * _FP32 * largest if by_muon else 0.0,
        activations=config.plan.max_tokens * dit.depth * kept_bytes(dit, config.memory, half=half),
    )  # fmt: skip


def _shares(config: FitConfig, dit: DiTConfig) -> tuple[float, float, float, float]:
    """What each worker holds of weights, gradients and optimizer states, and which share of weights lies whole beside them."""
    some = _GATHERED_BLOCKS / dit.depth
    cast = 1.0 if config.loop.precision == "bf16" else 0.0            # autocast's copies
    match config.parallel:
        case DdpConfig():
            return 1.0, 1.0, 1.0, cast
        case FsdpConfig(replicas=replicas, reshard_after_forward=is_given_up):
            part = replicas / config.num_workers
            return part, part, part, some if is_given_up else 1.0
        case ZeroConfig(stage=stage, offload=is_on_host):
            part = 1 / config.num_workers
            own = 1.0 if stage < 3 else 0.0 if is_on_host else part
            return own, part if stage >= 2 else 1.0, 0.0 if is_on_host else part, some if stage == 3 else cast


def kept_bytes(dit: DiTConfig, memory: MemoryConfig, *, half: int = _BF16) -> int:
    """Bytes that a block keeps of a token for the backward pass: the residual stream in fp32, everything else in `half` bytes."""
    inner, offered = dit.num_heads * dit.head_width, 2 * dit.num_kv_heads * dit.head_width
    stream = _FP32 * dit.width
    if memory.offload:
        return 0
    match memory.recompute:
        case "full":
            return stream
        case "selective":                                            # results of matrix products and attention
            return stream + half * (2 * inner + offered + inner + 2 * dit.width + 2 * dit.ffn_width)
        case "none":
            attention = 2 * dit.width + 5 * inner + offered
            return 2 * stream + half * (attention + 2 * dit.width + 4 * dit.ffn_width)
