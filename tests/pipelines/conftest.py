"""Generator bundles with random weights: small enough for a test, real in every part.

* ``tiny_generator``: one for the whole run, whose tables are nowhere.
* ``generator``: one in the test's workspace, with its parent, its tables and the record of its training.
"""

from datetime import UTC, datetime
from pathlib import Path

import lance
import pyarrow as pa
import pytest
import torch

from curation.tables import IMAGES_SCHEMA, SELECTION_SCHEMA
from infra.storage import Workspace
from models.autoencoder import Autoencoder, AutoencoderConfig
from models.bundle import AutoencoderBundle, GeneratorBundle, Lineage, TableVersion, save_bundle
from models.dit import DiT
from models.minilm import MINILM
from models.samplers import SamplerConfig
from models.sizes import DiTConfig
from pipelines.job import Outcome

SIZE_PX = 32


def write_tiny_generator(folder: Path, lineage: Lineage) -> None:
    torch.manual_seed(0)
    contents = GeneratorBundle(
        dit=DiTConfig(
            width=32, depth=2, num_heads=2, num_kv_heads=1, ffn_width=64, latent_channels=4, text_width=384, rope_axes=(4, 6, 6)
        ),
        autoencoder=AutoencoderConfig(
            patch=4, widths=(16, 32), encoder_blocks=(1, 1), decoder_blocks=(1, 1), latent_channels=4, retouch_width=4,
        ),
        text_encoder=MINILM,
        sampler=SamplerConfig(num_steps=2, guidance=2.0, shift=1.0),
        size_px=SIZE_PX,
    )
    weights = {"dit": DiT(contents.dit).state_dict(), "autoencoder": Autoencoder(contents.autoencoder).state_dict()}
    save_bundle(folder, contents, weights, lineage=lineage, metrics={})


@pytest.fixture(scope="session")
def tiny_generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "generator-tiny"
    nowhere = TableVersion(uri="/nowhere/selection.lance", version=1)
    images = TableVersion(uri="/nowhere/images.lance", version=3)
    lineage = Lineage(run_id="run-of-tiny", tables=(images,), selection=nowhere, parents=(), code="c0de")
    write_tiny_generator(folder, lineage)
    return folder


def _write_tables(workspace: Workspace) -> tuple[TableVersion, TableVersion]:
    empty = {field.name: "" for field in IMAGES_SCHEMA} | {"image": None}
    rows = [
        empty | {"id": f"emoji/{name}", "source": "emoji", "text_en": name, "licence": licence, "attribution": by, "parents": []}
        for name, licence, by in [("apple", "CC BY 4.0", "Twemoji"), ("bear", "CC BY-SA 4.0", "OpenMoji")]
    ]
    parents = [row["id"] for row in rows]
    rows.append(empty | {"id": "composed/1", "source": "composed", "parents": parents, "derivation": '{"kind": "paste"}'})
    sample = {"sample_id": "p", "task": "compose", "target_id": "composed/1", "reference_ids": parents}
    sample |= {"further_ids": [], "tags": [], "texts": ["both"]}
    selection = [sample | {"text_weights": [1.0], "score_text": "both", "split": "train", "weight": 1.0}]
    images_uri, selection_uri = workspace.uri("tables", "images.lance"), workspace.uri("selections", "food-1.lance")
    lance.write_dataset(pa.Table.from_pylist(rows, schema=IMAGES_SCHEMA), images_uri)
    lance.write_dataset(pa.Table.from_pylist(selection, schema=SELECTION_SCHEMA), selection_uri)
    return TableVersion(uri=images_uri, version=1), TableVersion(uri=selection_uri, version=1)


@pytest.fixture
def generator(workspace: Workspace) -> Path:
    """A generator on an autoencoder, both from the same tables, with the record of its training."""
    workspace.local("tables").mkdir(parents=True)
    images, selection = _write_tables(workspace)
    lineage = Lineage(run_id="run-of-autoencoder", tables=(images,), selection=selection, parents=(), code="c0de")
    shape = AutoencoderConfig(patch=4, widths=(16,), encoder_blocks=(1,), decoder_blocks=(1,), latent_channels=4, retouch_width=4)
    parent = save_bundle(
        workspace.local("bundles", "autoencoder-1"), AutoencoderBundle(autoencoder=shape, size_px=32),
        {"autoencoder": Autoencoder(shape).state_dict()}, lineage=lineage, metrics={},
    )  # fmt: skip
    folder = workspace.local("bundles", "generator-1")
    write_tiny_generator(folder, lineage.model_copy(update={"run_id": "run-of-generator", "parents": (parent.digest,)}))
    record = Outcome(
        job="fit", digest="f1", finished=datetime.now(UTC), seconds=1, rows_in=1, rows_out=1, quarantined=0, outputs={},
        metrics={}, run_id="run-of-generator", note="", bytes=0,
    )  # fmt: skip
    workspace.write_text(record.model_dump_json(), "jobs", "fit-f1.json")
    return folder
