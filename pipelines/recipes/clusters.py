"""Runs on clusters of GPUs: the autoencoder, and what `seedbed fit base` and `seedbed fit full` have in common."""

from typing import Protocol

from curation.tables import LATENT, TableRef
from curation.tasks import Task
from infra.errors import UserError
from infra.storage import Workspace
from models import autoencoder as autoencoders
from models.routing import RoutingConfig
from models.samplers import SamplerConfig
from models.sizes import DiTConfig
from models.vlm import VlmConfig
from pipelines.recipes import latest
from train.checkpoint import CheckpointConfig
from train.config import FitConfig
from train.feed import FeedConfig
from train.fetch import RayDataConfig
from train.loop import LoopConfig
from train.objectives.autoencoder import AutoencoderObjectiveConfig
from train.objectives.flow import FlowConfig
from train.optim import OptimConfig
from train.parallel.memory import MemoryConfig, Recompute
from train.parallel.sharded import FsdpConfig
from train.plan import PlanConfig, StageConfig
from train.schedule import WarmupStableDecay

SIDES_PX = {"512": 512, "1k": 1024, "4k": 4096}
"""Side of the square whose area pictures have at most, by resolution."""
AUTOENCODER = "autoencoder_f32"
"""Recipe, and name, of the autoencoder whose latents are learnt."""
READER = VlmConfig(
    model="Qwen/Qwen3-VL-4B-Instruct", hidden_width=2560, layers=(12, 24, 36), picture_px=512, device="cuda", dtype="bf16"
)
"""What reads texts beside their references: 8 GB on every GPU beside the run, in the Hugging Face cache of every node."""
GPUS_A_NODE = 8
FETCHERS_A_GPU = 2
TEXT_FIRST: dict[Task, float] = {"t2i": 0.8, "edit": 0.15, "compose": 0.05}
ALL_TASKS: dict[Task, float] = {"t2i": 0.5, "edit": 0.35, "compose": 0.15}


class Size(Protocol):
    """A size of the transformer (`models.sizes`)."""

    def __call__(self, *, latent_channels: int, text_width: int) -> DiTConfig:
        """Its shape."""
        ...


def stage(
    name: str, *, num_steps: int, task_shares: dict[Task, float], target_tokens: tuple[int, int], rate: float = 1.0
) -> StageConfig:
    """A stage at one resolution, on the latents that `seedbed encode latent_<name>` makes: of pictures at sizes of their own."""
    return StageConfig(
        name=name, num_steps=num_steps, task_shares=task_shares, target_tokens=target_tokens, latents=column(name), rate=rate
    )


def column(resolution: str) -> str:
    """Column of the latents of a resolution."""
    return f"{LATENT}_{resolution}"


def generator(
    workspace: Workspace, size: Size, stages: tuple[StageConfig, ...], *, num_gpus: int, batch_samples: int,
    recompute: Recompute, size_px: int,
) -> FitConfig:  # fmt: skip
    """Latents of f32 with 32 channels; weights in shards within a node; half of a large picture's tokens go past blocks."""
    data, autoencoder = _selected(workspace), _autoencoder(workspace)
    shape = size(latent_channels=autoencoders.f32().latent_channels, text_width=READER.width)
    dit = DiTConfig.model_validate({**shape.model_dump(), "text_layers": len(READER.layers)})
    return FitConfig(
        name="generator", data=data,
        objective=FlowConfig(
            dit=dit, autoencoder=autoencoder, text_encoder=READER, text_dropout=0.1, reference_dropout=0.1,
            uniform_share=0.1, shift=3.0, shift_tokens=1024, num_draws=1, routing=RoutingConfig(),
            sampler=SamplerConfig(num_steps=50, guidance=4.0, shift=3.0, shift_tokens=1024), size_px=size_px,
        ),
        plan=PlanConfig(
            seed=0, batch_samples=batch_samples, num_slots=num_gpus, stages=stages, max_tokens=32_768, context_slots=2
        ),
        feed=FeedConfig(rows=RayDataConfig(num_fetchers=FETCHERS_A_GPU)),
        optim=OptimConfig(
            adamw_lr=3e-4, muon_lr=0.01, weight_decay=0.01, clip_norm=1.0,
            schedule=WarmupStableDecay(warmup_steps=2000, decay_steps=20_000, final_share=0.01),
        ),
        loop=LoopConfig(precision="bf16", ema_decay=0.9999),
        parallel=FsdpConfig(replicas=num_gpus // GPUS_A_NODE), memory=MemoryConfig(recompute=recompute, compile=True),
        checkpoint=CheckpointConfig(every_steps=1000), num_workers=num_gpus, use_gpu=True, threads_per_worker=8,
    )  # fmt: skip


def autoencoder(data: TableRef) -> FitConfig:
    """Squares of 512 px in latents of 16 x 16; it is convolutions alone, so it encodes pictures of other sizes, too."""
    return FitConfig(
        name=AUTOENCODER, data=data,
        objective=AutoencoderObjectiveConfig(
            autoencoder=autoencoders.f32(), size_px=512, latent_noise=0.2, latent_pull=0.003, square_weight=1.0,
            edge_weight=0.5, perceptual_weight=0.2,
        ),
        plan=PlanConfig(
            seed=0, batch_samples=256, num_slots=GPUS_A_NODE,
            stages=(StageConfig(name="512", num_steps=100_000, task_shares={"t2i": 1.0}),),
        ),
        feed=FeedConfig(rows=RayDataConfig(num_fetchers=FETCHERS_A_GPU)),
        optim=OptimConfig(
            adamw_lr=1e-3, muon_lr=0.01, weight_decay=0.0, clip_norm=1.0,
            schedule=WarmupStableDecay(warmup_steps=1000, decay_steps=10_000, final_share=0.02),
        ),
        loop=LoopConfig(precision="bf16", ema_decay=0.999),
        checkpoint=CheckpointConfig(every_steps=1000), num_workers=GPUS_A_NODE, use_gpu=True, threads_per_worker=8,
    )  # fmt: skip


def _selected(workspace: Workspace) -> TableRef:
    """The newest selection, or a name for one: what a run takes is known before there is data, and without it is refused."""
    try:
        return latest.selected_images(workspace)
    except UserError:
        missing = workspace.uri("selections", "run-seedbed-select-first.lance")
        return TableRef(uri=workspace.uri("tables", "images.lance"), selection=missing)


def _autoencoder(workspace: Workspace) -> str:
    try:
        return latest.bundle(workspace, AUTOENCODER)
    except UserError:
        return workspace.uri("bundles", f"run-seedbed-fit-{AUTOENCODER}-first")
