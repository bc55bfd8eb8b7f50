"""Latents of pictures at sizes of their own, from the job that makes them to the generator that learns from them."""

import io
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from run_fit import work
from tiny_fit import CHANNELS, changed, losses, prepare, tiny_fit

from curation.decode import native_view
from curation.tables import IMAGES_SCHEMA, SELECTION_SCHEMA, VERDICT_SCHEMA, TableRef
from curation.tasks import Task
from eval.render import to_image
from infra.errors import UserError
from infra.session import Session
from models.bundle import read_manifest
from models.generate import Generator, ImageSize, load_autoencoder
from pipelines import encode, fit
from pipelines.encode import EncodeConfig, NativeConfig, SquareConfig, latents
from train.config import FitConfig
from train.objectives.flow import FlowConfig
from train.plan import StageConfig
from train.samples import UnusableTable

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

SIZES = [(40, 40), (24, 80), (90, 20), (8, 120), (33, 47)]
"""Of the pictures."""
FACTOR = 4
"""Of the tiny autoencoder."""


def _png(height: int, width: int, seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _write_tables(folder: Path) -> TableRef:
    """Kept pictures of several aspects, a text-to-image sample each and an edit from each to the next."""
    empty = {field.name: "" for field in IMAGES_SCHEMA} | {"parents": [], "verdict": "kept", "verdict_reasons": []}
    rows = [empty | {"id": f"p{i}", "image": _png(*size, seed=i)} for i, size in enumerate(SIZES)]
    schema = pa.schema([*IMAGES_SCHEMA, *VERDICT_SCHEMA])
    images = lance.write_dataset(pa.Table.from_pylist(rows, schema=schema), str(folder / "images.lance"), max_rows_per_file=3)
    told = {"further_ids": [], "tags": [], "text_weights": [1.0], "split": "train", "weight": 1.0}
    samples = [
        told | {"sample_id": f"{task}{i}", "task": task, "target_id": f"p{i}", "reference_ids": shown, "texts": [f"no {i}"],
                "score_text": f"no {i}"}
        for i in range(len(SIZES))
        for task, shown in (("t2i", []), ("edit", [f"p{(i + 1) % len(SIZES)}"]))
    ]  # fmt: skip
    lance.write_dataset(pa.Table.from_pylist(samples, schema=SELECTION_SCHEMA), str(folder / "selection.lance"))
    return TableRef(uri=images.uri, version=images.version, selection=str(folder / "selection.lance"))


def _autoencoder(config: FitConfig) -> Path:
    assert isinstance(config.objective, FlowConfig)
    return Path(config.objective.autoencoder)


def _encoded(config: FitConfig, images: TableRef, session: Session, *, side: int, column: str) -> TableRef:
    sizes = NativeConfig(max_side_px=side)
    made_by = str(_autoencoder(config))
    encoding = EncodeConfig(images=images, bundle=made_by, sizes=sizes, column=column, batch_size=4, workers=1)
    outcome = encode.run(encoding, session)
    assert outcome.note.startswith(f"encoded 5 of 5 selected pictures into {column} by ")
    return images.model_copy(update={"version": int(outcome.outputs["version"])})


def test_a_generator_learns_from_pictures_of_several_aspects_at_two_resolutions(session: Session, tmp_path: Path) -> None:
    config = tiny_fit(tmp_path)
    images = _write_tables(tmp_path / "own")
    _encoded(config, images, session, side=16, column="latent_16")
    table = _encoded(config, images, session, side=32, column="latent_32")
    assert _encoded(config, images, session, side=32, column="latent_32") == table
    _check_latents(table, config)
    shares: dict[Task, float] = {"t2i": 0.5, "edit": 0.5}
    stages = tuple(
        StageConfig(name=name, num_steps=1, task_shares=shares, latents=f"latent_{name}").model_dump() for name in ("16", "32")
    )
    two_steps = changed(config, plan={"stages": stages, "batch_samples": 6}).model_copy(update={"data": table})
    folder = prepare(tmp_path / "run", two_steps)
    work(0, 1, tmp_path, [folder])
    assert [step for step, _ in losses(folder)] == [1, 2]
    assert all(0 < loss < 100 for _, loss in losses(folder))
    drawn = Generator.load(folder / "bundle").default_size
    assert drawn == ImageSize(8, 8), "of the autoencoder's training, since no other is given"


def _check_latents(table: TableRef, config: FitConfig) -> None:
    autoencoder, _ = load_autoencoder(_autoencoder(config))
    rows = lance.dataset(table.uri, version=table.version).to_table().to_pylist()
    assert {row["latent_16_shape"][0] for row in rows} == {row["latent_32_shape"][0] for row in rows} == {CHANNELS}
    assert [row["latent_16_shape"][1:] for row in rows] == [[4, 4], [2, 7], [8, 2], [1, 15], [3, 4]]
    assert [row["latent_32_shape"][1:] for row in rows] == [[8, 8], [4, 14], [16, 4], [2, 30], [6, 9]]
    for row in rows:
        view = native_view(row["image"], max_side_px=32, multiple_px=FACTOR)
        with torch.inference_mode():
            expected = autoencoder.encode(to_image(view)[None])[0].numpy()
        np.testing.assert_allclose(np.reshape(row["latent_32"], row["latent_32_shape"]), expected, rtol=1e-4, atol=1e-5)
    assert {row["latent_32_version"] for row in rows} == {f"{read_manifest(_autoencoder(config)).digest}.32px"}


def test_a_stage_whose_latents_are_not_there_is_refused_before_anything_starts(session: Session, tmp_path: Path) -> None:
    config, images = tiny_fit(tmp_path), _write_tables(tmp_path / "own")
    table = _encoded(config, images, session, side=16, column="latent_16")
    stages = [StageConfig(name=name, num_steps=1, task_shares={"t2i": 1.0}, latents=f"latent_{name}") for name in ("16", "1k")]
    lacking = changed(config, plan={"stages": [stage.model_dump() for stage in stages]}).model_copy(update={"data": table})
    with pytest.raises(UnusableTable, match=r"has no latent_1k_version, .*run `seedbed encode --set column=latent_1k`"):
        fit.run(lacking, session)


def test_a_side_that_holds_no_banner_is_refused(session: Session, tmp_path: Path) -> None:
    config, images = tiny_fit(tmp_path), _write_tables(tmp_path / "own")
    with pytest.raises(UserError, match=r"sizes of the encoding: max_side_px=12 .*give 16 or more"):
        _encoded(config, images, session, side=12, column="latent")


def test_another_side_or_autoencoder_is_another_version_and_a_square_is_known_by_the_autoencoder_alone() -> None:
    def version(sizes: SquareConfig | NativeConfig, digest: str) -> str:
        whole = EncodeConfig(images=TableRef(uri="i"), bundle="b", sizes=sizes, batch_size=1, workers=1, bundle_digest=digest)
        return latents(whole).version

    assert version(SquareConfig(), "a1") == "a1"
    assert version(NativeConfig(max_side_px=512), "a1") == "a1.512px"
    assert version(NativeConfig(max_side_px=1024), "b2") == "b2.1024px"


def test_columns_of_latents_have_names_of_their_own() -> None:
    for name in ("latent_shape", "latent_version", "features", "latent_512_shape"):
        with pytest.raises(ValidationError, match="column"):
            EncodeConfig(images=TableRef(uri="i"), bundle="b", column=name, batch_size=1, workers=1)
