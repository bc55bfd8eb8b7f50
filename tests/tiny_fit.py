"""A table small enough to train on in a second, the run that trains on it, and processes that run it."""

import hashlib
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import lance
import pyarrow as pa
import torch
from run_fit import listen_and_work, work_until

from curation.tables import SELECTION_SCHEMA, TableRef
from models.autoencoder import Autoencoder, AutoencoderConfig
from models.bundle import AutoencoderBundle, Lineage, TableVersion, read_manifest, save_bundle
from models.minilm import TEXT_WIDTH
from models.samplers import SamplerConfig
from models.sizes import DiTConfig
from train.checkpoint import CheckpointConfig
from train.config import FitConfig
from train.loop import LoopConfig
from train.meters import readings
from train.objectives.flow import FlowConfig
from train.optim import OptimConfig
from train.plan import PlanConfig, StageConfig
from train.schedule import Linear

NUM_PICTURES = 10
CHANNELS = 3
LINEAGE = Lineage(
    run_id="run", tables=(TableVersion(uri="t", version=1),), selection=TableVersion(uri="s", version=1), parents=(), code="c"
)


def write_images(place: Path, *, version: str = "", prefix: str = "p", without_latent: int | None = None) -> TableRef:
    """Pictures p0, p1, ... with a latent each by the autoencoder `version`, but one if asked."""
    generator = torch.Generator().manual_seed(0)
    latents: list[list[float] | None] = [torch.randn(CHANNELS * 4, generator=generator).tolist() for _ in range(NUM_PICTURES)]
    if without_latent is not None:
        latents[without_latent] = None
    table = pa.table(
        {
            "id": [f"{prefix}{i}" for i in range(NUM_PICTURES)],
            "latent": pa.array(latents, pa.list_(pa.float32())),
            "latent_shape": pa.array([[CHANNELS, 2, 2]] * NUM_PICTURES, pa.list_(pa.int32())),
            "latent_version": [version] * NUM_PICTURES,
        }
    )
    return TableRef(uri=str(place), version=lance.write_dataset(table, str(place)).version)


def write_selection(place: Path, *, prefix: str = "p") -> str:
    """One text-to-image sample a picture, and an edit from each to the next."""
    rows = []
    for i in range(NUM_PICTURES):
        following = f"{prefix}{(i + 1) % NUM_PICTURES}"
        rows.append(_row(f"{prefix}{i}", "t2i", f"{prefix}{i}", [], f"picture number {i}"))
        rows.append(_row(f"e{i}", "edit", following, [f"{prefix}{i}"], "make it the next one"))
    lance.write_dataset(pa.Table.from_pylist(rows, schema=SELECTION_SCHEMA), str(place))
    return str(place)


def _row(sample: str, task: str, target: str, references: list[str], text: str) -> dict[str, object]:
    return {
        "sample_id": sample, "task": task, "target_id": target, "reference_ids": references, "further_ids": [], "tags": [],
        "texts": [text],
        "text_weights": [1.0], "score_text": text, "split": "train", "weight": 1.0,
    }  # fmt: skip


def tiny_fit(place: Path, *, prefix: str = "p") -> FitConfig:
    """A generator of a few thousand parameters, twelve steps."""
    shape = AutoencoderConfig(
        patch=4, widths=(16,), encoder_blocks=(1,), decoder_blocks=(1,), latent_channels=CHANNELS, retouch_width=4,
    )
    autoencoder = place / "autoencoder"
    torch.manual_seed(0)
    save_bundle(
        autoencoder,
        AutoencoderBundle(autoencoder=shape, size_px=8),
        {"autoencoder": Autoencoder(shape).state_dict()},
        lineage=LINEAGE,
        metrics={},
    )
    selection = write_selection(place / "selection.lance", prefix=prefix)
    images = write_images(place / "images.lance", version=read_manifest(autoencoder).digest, prefix=prefix)
    dit = DiTConfig(
        width=32,
        depth=2,
        num_heads=2,
        num_kv_heads=1,
        ffn_width=48,
        latent_channels=CHANNELS,
        text_width=TEXT_WIDTH,
        rope_axes=(4, 6, 6),
    )
    return FitConfig(
        name="generator",
        objective=FlowConfig(
            dit=dit, autoencoder=str(autoencoder), text_dropout=0.1, uniform_share=0.1, shift=1.0, shift_tokens=4, num_draws=2,
            sampler=SamplerConfig(num_steps=2, guidance=1.0, shift=1.0),
        ),
        data=TableRef(uri=images.uri, version=images.version, selection=selection),
        plan=PlanConfig(
            seed=0, batch_samples=6, num_slots=2,
            stages=(StageConfig(name="all", num_steps=12, task_shares={"t2i": 0.5, "edit": 0.5}),),
        ),
        optim=OptimConfig(
            adamw_lr=2e-3, muon_lr=0.02, weight_decay=0.01, schedule=Linear(warmup_steps=2, final_share=0.1), clip_norm=1.0
        ),
        loop=LoopConfig(precision="fp32", ema_decay=0.9),
        checkpoint=CheckpointConfig(every_steps=3),
        log_every_steps=1,
        threads_per_worker=1,
    )  # fmt: skip


def changed(config: FitConfig, **parts: Mapping[str, object]) -> FitConfig:
    """The configuration with some settings of some parts replaced, validated anew."""
    data = config.model_dump()
    return FitConfig.model_validate({**data, **{name: {**data[name], **part} for name, part in parts.items()}})


def of_steps(config: FitConfig, num_steps: int) -> FitConfig:
    """The same run, longer or shorter."""
    (stage,) = config.plan.stages
    return changed(config, plan={"stages": (stage.model_copy(update={"num_steps": num_steps}),)})


def prepare(folder: Path, config: FitConfig) -> Path:
    """A run's folder that `start` can train in."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config.model_dump_json())
    (folder / "lineage.json").write_text(LINEAGE.model_dump_json())
    return folder


def start(folders: Sequence[Path], *, num_workers: int, rendezvous: Path) -> list[BaseProcess]:
    """Worker processes that train the folders' runs one after the other; forked from one that has imported all they need."""
    rendezvous.unlink(missing_ok=True)
    return [_started(listen_and_work, rank, num_workers, rendezvous, list(folders)) for rank in range(num_workers)]


def start_until(offset: int, folder: Path) -> BaseProcess:
    """A lone worker that dies at a file operation on its checkpoints."""
    return _started(work_until, offset, folder)


def _started(target: Callable[..., None], *arguments: object) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train.fitting"])
    process = context.Process(target=target, args=arguments)
    process.start()
    return process


def ended(worker: BaseProcess, *, timeout_s: float = 300) -> int:
    """The exit code of a worker that ends by itself, or has been killed."""
    worker.join(timeout_s)
    assert worker.exitcode is not None, "it goes on"
    return worker.exitcode


def train(folders: Sequence[Path], *, num_workers: int, rendezvous: Path) -> None:
    """Train the folders' runs to their ends."""
    codes = [ended(worker) for worker in start(folders, num_workers=num_workers, rendezvous=rendezvous)]
    assert not any(codes), codes


def losses(folder: Path) -> list[tuple[int, float]]:
    """(step, loss) of every reading."""
    return [(reading.step, reading.values["loss"]) for reading in readings(folder / "meters.jsonl")]


def weights_digest(folder: Path) -> str:
    """SHA-256 of the trained weights."""
    return hashlib.sha256((folder / "bundle" / "dit.safetensors").read_bytes()).hexdigest()
