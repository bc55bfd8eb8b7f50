"""How long a training waits for its data: the recipe of the generator on latents of pictures, fetched by Ray Data.

A program of its own: ``python -m pipelines.bench.feed_wait FOLDER NUM_STEPS RESULT``. It trains as a worker does, with every part
of the loop, and reads the meters of the run. Latents and texts are made up: what they hold changes nothing about the time.
"""

import json
import sys
from pathlib import Path

import pyarrow as pa
import torch

from curation import commit
from curation.tables import LATENT_SCHEMA, TableRef
from infra.session import start_ray
from infra.settings import settings_from_environment
from models.autoencoder import Autoencoder, tiny
from models.bilingual import BilingualEncoder
from models.bundle import AutoencoderBundle, Lineage, TableVersion, TextBundle, save_bundle
from models.perception.contrastive import ContrastiveConfig
from pipelines.bench.feed_forms import selected
from pipelines.overrides import validated
from pipelines.recipes.fit import LATENT_CHANNELS, SIZE_PX, TEXT, generator_on
from train.config import FitConfig
from train.feed import FeedConfig
from train.fetch import RayDataConfig
from train.fitting import FitFolder, fit
from train.meters import readings
from train.parallel.world import World
from train.plan import StageConfig

NUM_PICTURES, NUM_TEXTS = 2_000, 50
BATCH_SAMPLES = 96
"""Takes a step above 300 ms on two cores."""

_CELLS = 4
"""Side of a latent."""
_SCHEMA = pa.schema([pa.field("id", pa.string(), nullable=False), *LATENT_SCHEMA])


def main(place: Path, num_steps: int, result: Path) -> None:
    """Train, and write the share of the time that went by waiting, and the length of a step, both after the first."""
    start_ray(settings_from_environment())
    config, folder = _config(place, num_steps), FitFolder(place / "run")
    folder.place.mkdir()
    fit(config, _lineage(), folder, bundle=place / "trained", world=World(0, 1))
    values = [reading.values for reading in readings(folder.meters) if reading.step > 1]
    waited_s, trained_s = (sum(each[name] for each in values) for name in ("data_wait_s", "step_s"))
    found = {"data_wait_fraction": waited_s / (waited_s + trained_s), "step_ms": trained_s / len(values) * 1000}
    result.write_text(json.dumps(found))


def _config(place: Path, num_steps: int) -> FitConfig:
    contents = AutoencoderBundle(autoencoder=tiny(latent_channels=LATENT_CHANNELS), size_px=SIZE_PX)
    weights = Autoencoder(contents.autoencoder).state_dict()
    save_bundle(place / "autoencoder", contents, {"autoencoder": weights}, lineage=_lineage(), metrics={})
    text = TextBundle(encoder=TEXT, head=ContrastiveConfig(width=8, text_hidden=8, image_noise=0.0))
    weights = {"text": BilingualEncoder(TEXT).state_dict()}
    save_bundle(place / "text", text, weights, lineage=_lineage(), metrics={})
    whole = generator_on(_table(place), autoencoder=str(place / "autoencoder"), text_encoder=str(place / "text"))
    stage = StageConfig(name="all", num_steps=num_steps, task_shares={"t2i": 1.0})
    plan = whole.plan.model_dump() | {"batch_samples": BATCH_SAMPLES, "stages": [stage.model_dump()]}
    feed = FeedConfig(rows=RayDataConfig(num_fetchers=1)).model_dump()
    return validated(FitConfig, {**whole.model_dump(), "plan": plan, "feed": feed, "log_every_steps": 1})


def _table(place: Path) -> TableRef:
    shape = [LATENT_CHANNELS, _CELLS, _CELLS]
    latents = torch.randn(NUM_PICTURES, LATENT_CHANNELS * _CELLS**2, generator=torch.Generator().manual_seed(0))
    rows = [{"id": f"p{i}", "latent": latent, "latent_shape": shape} for i, latent in enumerate(latents.tolist())]
    commit.create(str(place / "latents.lance"), _SCHEMA)
    images = commit.append_table(str(place / "latents.lance"), pa.Table.from_pylist(rows, schema=_SCHEMA))
    texts = {f"p{i}": f"text {i % NUM_TEXTS}" for i in range(NUM_PICTURES)}
    selection = commit.write_selection(str(place / "latents-selection.lance"), selected(texts))
    return images.model_copy(update={"selection": selection.uri})


def _lineage() -> Lineage:
    nothing = TableVersion(uri="", version=0)
    return Lineage(run_id="", tables=(nothing,), selection=nothing, parents=(), code="")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
