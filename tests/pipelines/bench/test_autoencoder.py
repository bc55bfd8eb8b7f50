"""What a bundle's reconstructions are held against."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from infra.errors import UserError
from infra.settings import Settings
from models.autoencoder import Autoencoder, AutoencoderConfig
from models.bundle import AutoencoderBundle, ContrastiveBundle, Lineage, TableVersion, save_bundle
from models.perception.contrastive import ContrastiveConfig, ContrastiveHead
from pipelines.bench import autoencoder as bench
from pipelines.bench.autoencoder_pictures import pictures
from pipelines.bench.command import command
from pipelines.bench.result import BenchResult

LINEAGE = Lineage(
    run_id="r", tables=(TableVersion(uri="t", version=1),), selection=TableVersion(uri="s", version=1), parents=(), code="c"
)
SHAPE = AutoencoderConfig(
    patch=4, widths=(8, 8), encoder_blocks=(1, 1), decoder_blocks=(1, 1), latent_channels=6, retouch_width=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return pictures(64, 1, tmp_path_factory.mktemp("cache"))["photographs"][0]


def test_pictures_of_every_kind_have_the_size_asked_for(tmp_path: Path) -> None:
    found = pictures(96, 3, tmp_path)
    assert {kind: [one.shape for one in some] for kind, some in found.items()} == {
        kind: [(96, 96, 3)] * 3 for kind in ("emoji", "knowledge", "photographs")
    }
    assert all(len({one.tobytes() for one in some}) == 3 for some in found.values())


def test_a_reduced_picture_keeps_as_many_values_as_it_says(photograph: np.ndarray) -> None:
    assert len(np.unique(bench._reduced(photograph, 1).reshape(-1, 3), axis=0)) == 1
    assert np.array_equal(bench._reduced(photograph, 64), photograph)
    errors = [np.abs(bench._reduced(photograph, side).astype(int) - photograph).mean() for side in (4, 16, 32)]
    assert errors == sorted(errors, reverse=True)


def test_the_best_jpeg_that_keeps_to_the_bytes_is_chosen(photograph: np.ndarray) -> None:
    errors = [np.abs(bench._compressed(photograph, limit).astype(int) - photograph).mean() for limit in (900, 1200, 10_000)]
    assert errors == sorted(errors, reverse=True)
    finest = bench._jpeg(photograph, 95)
    with Image.open(io.BytesIO(finest)) as best:
        assert np.array_equal(bench._compressed(photograph, len(finest)), np.asarray(best))


def saved(folder: Path) -> Path:
    torch.manual_seed(0)
    contents = AutoencoderBundle(autoencoder=SHAPE, size_px=64)
    save_bundle(folder, contents, {"autoencoder": Autoencoder(SHAPE).state_dict()}, lineage=LINEAGE, metrics={})
    return folder


@pytest.mark.slow
def test_a_named_bundle_is_measured_beside_its_peers(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDBED_CACHE", str(tmp_path / "cache"))
    place, bundle = tmp_path / "result.json", saved(tmp_path / "bundle")
    command(["autoencoder", "--quick", "--bundle", str(bundle), "--json", str(place)], settings)
    result = BenchResult.model_validate(json.loads(place.read_text()))
    assert result.command == f"seedbed bench autoencoder --quick --bundle {bundle}"
    assert result.ours["pixel_values_a_latent_value"] == 32
    assert result.peers[bench._NUMBERS]["psnr_db_64"] > result.ours["psnr_db_64"]                 # ours was never trained
    assert list(result.checks.values()) == [False]
    assert Path(str(result.rows[-1]["grid"])).is_file()


def test_what_holds_no_autoencoder_is_refused(tmp_path: Path) -> None:
    config = ContrastiveConfig(width=8, text_hidden=8, image_noise=0.0)
    weights = {"contrastive": ContrastiveHead(config).state_dict()}
    save_bundle(tmp_path / "head", ContrastiveBundle(head=config), weights, lineage=LINEAGE, metrics={})
    with pytest.raises(UserError, match="is of kind 'contrastive', `bench autoencoder` needs an autoencoder or a generator"):
        bench.run(is_quick=True, bundle=tmp_path / "head")


def test_a_bundle_for_another_benchmark_is_refused(settings: Settings) -> None:
    with pytest.raises(UserError, match="--bundle is for benchmarks of a bundle, autoencoder; leave it out of 'flops'"):
        command(["flops", "--bundle", "somewhere"], settings)
