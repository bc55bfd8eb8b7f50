"""Runs on clusters of GPUs: the autoencoder, and what `seedbed fit base` and `seedbed fit full` have in common."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from curation.tables import LATENT, TableRef
from curation.tasks import TASKS, Task
from infra.errors import UserError
from infra.storage import Workspace
from models import autoencoder as autoencoders
from models.perception.perceptual import LiteConfig
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
from train.objectives.adversary import AdversaryConfig
from train.objectives.autoencoder import HEAD, AutoencoderObjectiveConfig, PerceptualConfig, all_but, middle
from train.objectives.flow import FlowConfig
from train.objectives.smoothness import NoiseConfig
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
    model="Qwen/Qwen3-VL-4B-Instruct", hidden_width=2560, layers=(12, 24, 36), picture_px=512, dtype="bf16"
)
"""What reads texts beside their references: 8 GB on every GPU beside the run, in the Hugging Face cache of every node."""
GPUS_A_NODE = 8
FETCHERS_A_GPU = 2
TEXT_FIRST: dict[Task, float] = {"t2i": 0.8, "edit": 0.15, "compose": 0.05}
PICTURES: dict[Task, float] = {"t2i": 1.0}
ALL_TASKS: dict[Task, float] = {"t2i": 0.5, "edit": 0.35, "compose": 0.15}


class AutoencoderPhase(NamedTuple):
    """What the phases of the autoencoder's training differ in."""

    name: str
    """Of the recipe and of the bundle."""
    after: str | None
    """Name of the bundle it goes on from."""
    stages: Callable[[autoencoders.AutoencoderConfig], tuple[StageConfig, ...]]
    size_px: int
    batch_samples: int
    pictures_a_pass: int
    """On one GPU."""
    adamw_lr: float
    adversary: AdversaryConfig | None = None


class Size(Protocol):
    """A size of the transformer (`models.sizes`)."""

    def __call__(self, *, latent_channels: int, text_width: int, labels: tuple[str, ...] = ()) -> DiTConfig:
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
    shape = size(latent_channels=autoencoders.f32().latent_channels, text_width=READER.width, labels=TASKS)
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


def autoencoder(workspace: Workspace, phase: AutoencoderPhase) -> FitConfig:
    """A phase of DC-AE's three (Chen et al. 2024, section 3.3), from the bundle of the one before.

    Squares of 256, 1024 and 256 px; it is convolutions alone, so it encodes pictures of other sizes, too.
    """
    shape, start = autoencoders.f32(), None if phase.after is None else _autoencoder(workspace, phase.after)
    return FitConfig(
        name=phase.name, data=_selected(workspace),
        objective=AutoencoderObjectiveConfig(
            autoencoder=shape, size_px=phase.size_px, start=start, smoothness=NoiseConfig(strength=0.2, pull=0.003),
            square_weight=1.0, edge_weight=0.5, perceptual=PerceptualConfig(backbone=LiteConfig(), weight=0.2),
            adversary=phase.adversary,
        ),
        plan=PlanConfig(
            seed=0, batch_samples=phase.batch_samples, num_slots=GPUS_A_NODE, stages=phase.stages(shape),
            max_tokens=phase.pictures_a_pass,
        ),
        feed=FeedConfig(rows=RayDataConfig(num_fetchers=FETCHERS_A_GPU)),
        optim=OptimConfig(
            adamw_lr=phase.adamw_lr, muon_lr=10 * phase.adamw_lr, weight_decay=0.0, clip_norm=1.0,
            schedule=WarmupStableDecay(warmup_steps=1000, decay_steps=5000, final_share=0.02),
        ),
        loop=LoopConfig(precision="bf16", ema_decay=0.999),
        checkpoint=CheckpointConfig(every_steps=1000), num_workers=GPUS_A_NODE, use_gpu=True, threads_per_worker=8,
    )  # fmt: skip


def everything(shape: autoencoders.AutoencoderConfig) -> tuple[StageConfig, ...]:  # noqa: ARG001  phases are called alike
    """Small pictures."""
    return (StageConfig(name="everything", num_steps=100_000, task_shares=PICTURES),)


def adapting(shape: autoencoders.AutoencoderConfig) -> tuple[StageConfig, ...]:
    """Large pictures, for those that make and read latents alone."""
    frozen = all_but(shape, *middle(shape))
    return (StageConfig(name="middle", num_steps=20_000, task_shares=PICTURES, frozen=frozen),)


def refining(shape: autoencoders.AutoencoderConfig) -> tuple[StageConfig, ...]:
    """First the critic alone, then it and what makes pixels."""
    return (
        StageConfig(name="critic", num_steps=2000, task_shares=PICTURES, frozen=all_but(shape)),
        StageConfig(name="head", num_steps=20_000, task_shares=PICTURES, frozen=all_but(shape, *HEAD)),
    )


AUTOENCODER_PHASES = (
    AutoencoderPhase(f"{AUTOENCODER}_low", None, everything, size_px=256, batch_samples=256, pictures_a_pass=32, adamw_lr=1e-3),
    AutoencoderPhase(
        f"{AUTOENCODER}_high", f"{AUTOENCODER}_low", adapting, size_px=1024, batch_samples=64, pictures_a_pass=2, adamw_lr=2.5e-4
    ),
    AutoencoderPhase(
        AUTOENCODER, f"{AUTOENCODER}_high", refining, size_px=256, batch_samples=128, pictures_a_pass=16, adamw_lr=2.5e-4,
        adversary=AdversaryConfig(weight=0.05),
    ),
)  # fmt: skip
"""In order; rates fall between them as DC-AE's do, by a factor of four, for the large pictures."""


def _selected(workspace: Workspace) -> TableRef:
    """The newest selection, or a name for one: what a run takes is known before there is data, and without it is refused."""
    try:
        return latest.selected_images(workspace)
    except UserError:
        missing = workspace.uri("selections", "run-seedbed-select-first.lance")
        return TableRef(uri=workspace.uri("tables", "images.lance"), selection=missing)


def _autoencoder(workspace: Workspace, name: str = AUTOENCODER) -> str:
    try:
        return latest.bundle(workspace, name)
    except UserError:
        return workspace.uri("bundles", f"run-seedbed-fit-{name}-first")
