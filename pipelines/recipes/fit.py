"""Recipes of `seedbed fit`: small models that two CPU cores learn in minutes, and large ones for clusters of GPUs."""

from curation.tables import TableRef
from curation.tasks import TASKS
from infra.storage import Workspace
from models import autoencoder as autoencoders
from models import bilingual
from models import sizes as transformers
from models.perception.contrastive import ContrastiveConfig
from models.perception.perceptual import LiteConfig
from models.samplers import SamplerConfig
from pipelines.recipes import clusters, latest
from train.checkpoint import CheckpointConfig
from train.config import FitConfig
from train.loop import LoopConfig
from train.objectives.autoencoder import AutoencoderObjectiveConfig, PerceptualConfig
from train.objectives.bilingual import BilingualObjectiveConfig
from train.objectives.contrastive import ContrastiveObjectiveConfig
from train.objectives.flow import FlowConfig
from train.objectives.smoothness import NoiseConfig
from train.optim import OptimConfig
from train.plan import PlanConfig, StageConfig
from train.precision import native_precision
from train.preview import PreviewConfig
from train.schedule import Linear
from train.texts import FittedText

SIZE_PX = 64
STYLES = ("flat", "outlined")
"""Of the emoji corpus, as tags."""
LATENT_CHANNELS = 24
TEXT = bilingual.small()
SAMPLER = SamplerConfig(num_steps=16, guidance=2.0, shift=1.0)
_THINGS = ("red apple", "hamburger", "lemon")
PREVIEWED = tuple(f"A {thing} in {style} style." for style in ("flat", "outlined") for thing in _THINGS)


def autoencoder(workspace: Workspace) -> FitConfig:
    """The f16 autoencoder of 64 px drawings, on the newest selection.

    Run:      seedbed fit autoencoder
    Hardware: two cores, about 4 minutes
    """
    return autoencoder_on(latest.selected_images(workspace))


def contrastive(workspace: Workspace) -> FitConfig:
    """The image-text head that scores retrieval, on the newest selection.

    Run:      seedbed fit contrastive
    Hardware: two cores, about a minute
    """
    return contrastive_on(latest.selected_images(workspace))


def text(workspace: Workspace) -> FitConfig:
    """The encoder of English and Chinese texts that generators read by, on the newest selection.

    Run:      seedbed fit text
    Hardware: two cores, about three and a half minutes
    """
    return text_on(latest.selected_images(workspace))


def generator(workspace: Workspace) -> FitConfig:
    """The generator: text-to-image, edits and compositions in one model, on the newest selection, autoencoder and text encoder.

    Run:      seedbed fit generator
    Hardware: two cores, about 8 minutes
    """
    return generator_on(
        latest.selected_images(workspace), autoencoder=latest.bundle(workspace, "autoencoder"),
        text_encoder=latest.bundle(workspace, "text"),
    )  # fmt: skip


default = generator


def autoencoder_f32_low(workspace: Workspace) -> FitConfig:
    """The f32 autoencoder of 32 channels for large generators, the first of three phases: all of it, in squares of 256 px.

    Run:      seedbed fit autoencoder_f32_low --address ray://HEAD:10001
    Hardware: one node of eight GPUs; not trained anywhere yet, so its rates are those of the small one
    """
    return clusters.autoencoder(workspace, clusters.AUTOENCODER_PHASES[0])


def autoencoder_f32_high(workspace: Workspace) -> FitConfig:
    """The second phase: what makes and reads latents learns squares of 1024 px, the rest stands still.

    Run:      seedbed fit autoencoder_f32_high --address ray://HEAD:10001
    Hardware: one node of eight GPUs; not trained anywhere yet
    """
    return clusters.autoencoder(workspace, clusters.AUTOENCODER_PHASES[1])


def autoencoder_f32(workspace: Workspace) -> FitConfig:
    """The third phase: what makes pixels learns from a critic, in squares of 256 px; latents stay as they are.

    Run:      seedbed fit autoencoder_f32 --address ray://HEAD:10001
    Hardware: one node of eight GPUs; not trained anywhere yet
    """
    return clusters.autoencoder(workspace, clusters.AUTOENCODER_PHASES[2])


def base(workspace: Workspace) -> FitConfig:
    """A generator of 1.2 B parameters from 512 px to 1K, on the newest selection and an f32 autoencoder.

    Run:      seedbed encode latent_512 && seedbed encode latent_1k && seedbed fit base --address ray://HEAD:10001
    Hardware: one node of eight GPUs; `seedbed fit base --dry-run` says what it takes
    """
    stages = (
        clusters.stage("512", num_steps=200_000, task_shares=clusters.TEXT_FIRST, target_tokens=(192, 256)),
        clusters.stage("1k", num_steps=50_000, task_shares=clusters.ALL_TASKS, target_tokens=(768, 1024), rate=0.3),
    )
    return clusters.generator(
        workspace, transformers.base, stages, num_gpus=8, batch_samples=1024, recompute="selective", size_px=1024
    )


def full(workspace: Workspace) -> FitConfig:
    """A generator of 5.6 B parameters from 512 px through 1K to 4K, on the newest selection and an f32 autoencoder.

    Run:      seedbed fit full --address ray://HEAD:10001
    Hardware: 32 nodes of eight GPUs; `seedbed fit full --dry-run` says what it takes. Before it, `seedbed encode` makes latents
              at each resolution: `latent_512`, `latent_1k`, `latent_4k`
    """
    stages = (
        clusters.stage("512", num_steps=300_000, task_shares=clusters.TEXT_FIRST, target_tokens=(192, 256)),
        clusters.stage("1k", num_steps=100_000, task_shares=clusters.ALL_TASKS, target_tokens=(768, 1024), rate=0.5),
        clusters.stage("4k", num_steps=20_000, task_shares=clusters.ALL_TASKS, target_tokens=(1024, 16_384), rate=0.2),
    )
    return clusters.generator(
        workspace, transformers.full, stages, num_gpus=256, batch_samples=2048, recompute="full", size_px=2048
    )


def autoencoder_on(data: TableRef) -> FitConfig:
    """`autoencoder` on a given table."""
    return FitConfig(
        name="autoencoder",
        objective=AutoencoderObjectiveConfig(
            autoencoder=autoencoders.tiny(latent_channels=LATENT_CHANNELS), size_px=SIZE_PX,
            smoothness=NoiseConfig(strength=0.35, pull=0.003), square_weight=2.0, edge_weight=0.5,
            perceptual=PerceptualConfig(backbone=LiteConfig(), weight=0.2),
        ),
        data=data,
        plan=PlanConfig(
            seed=0, batch_samples=32, num_slots=1,
            stages=(StageConfig(name="all", num_steps=560, task_shares={"t2i": 0.5, "edit": 0.25, "compose": 0.25}),),
        ),
        optim=OptimConfig(
            adamw_lr=2e-3, muon_lr=0.01, weight_decay=0.0, schedule=Linear(warmup_steps=30, final_share=0.02), clip_norm=1.0
        ),
        loop=LoopConfig(precision=native_precision(), ema_decay=0.98),
        checkpoint=CheckpointConfig(every_steps=60),
    )  # fmt: skip


def contrastive_on(data: TableRef) -> FitConfig:
    """`contrastive` on a given table."""
    return FitConfig(
        name="contrastive",
        objective=ContrastiveObjectiveConfig(head=ContrastiveConfig(width=256, text_hidden=512, image_noise=0.5)),
        data=data,
        plan=PlanConfig(
            seed=0, batch_samples=256, num_slots=1,
            stages=(StageConfig(name="all", num_steps=400, task_shares={"t2i": 0.4, "edit": 0.35, "compose": 0.25}),),
        ),
        optim=OptimConfig(
            adamw_lr=1e-3, muon_lr=0.01, weight_decay=0.01, schedule=Linear(warmup_steps=20, final_share=0.02), clip_norm=1.0
        ),
        loop=LoopConfig(precision="fp32", ema_decay=0.98),
        checkpoint=CheckpointConfig(every_steps=100),
    )  # fmt: skip


def text_on(data: TableRef) -> FitConfig:
    """`text` on a given table."""
    return FitConfig(
        name="text",
        objective=BilingualObjectiveConfig(
            encoder=TEXT, head=ContrastiveConfig(width=256, text_hidden=256, image_noise=0.5), num_words=12_000,
            words_per_sample=2, translation=1.0, picture=1.0, teaching=1.0, token=0.5,
        ),
        data=data,
        plan=PlanConfig(
            seed=0, batch_samples=128, num_slots=1,
            stages=(StageConfig(name="all", num_steps=300, task_shares={"t2i": 0.5, "edit": 0.3, "compose": 0.2}),),
        ),
        optim=OptimConfig(
            adamw_lr=3e-3, muon_lr=0.02, weight_decay=0.01, schedule=Linear(warmup_steps=20, final_share=0.02), clip_norm=1.0
        ),
        loop=LoopConfig(precision=native_precision(), ema_decay=0.98),
        checkpoint=CheckpointConfig(every_steps=100),
    )  # fmt: skip


def generator_on(data: TableRef, *, autoencoder: str, text_encoder: str) -> FitConfig:
    """`generator` on a given table, autoencoder bundle and text bundle."""
    return FitConfig(
        name="generator",
        objective=FlowConfig(
            dit=transformers.micro(latent_channels=LATENT_CHANNELS, text_width=TEXT.text_width, labels=(*TASKS, *STYLES)),
            autoencoder=autoencoder, text_encoder=FittedText(bundle=text_encoder),
            text_dropout=0.1, uniform_share=0.1, shift=2.0, shift_tokens=16, num_draws=3, sampler=SAMPLER,
        ),
        data=data,
        plan=PlanConfig(
            seed=0, batch_samples=48, num_slots=1,
            stages=(StageConfig(name="all", num_steps=620, task_shares={"t2i": 0.42, "edit": 0.36, "compose": 0.22}),),
        ),
        optim=OptimConfig(
            adamw_lr=3e-3, muon_lr=0.01, weight_decay=0.01, schedule=Linear(warmup_steps=30, final_share=0.01), clip_norm=1.0
        ),
        loop=LoopConfig(precision=native_precision(), ema_decay=0.99),
        checkpoint=CheckpointConfig(every_steps=50), preview=PreviewConfig(every_steps=100, prompts=PREVIEWED),
    )  # fmt: skip
