"""Bundles are whole, checked and named."""

import json
from pathlib import Path

import pytest
import torch

from models.autoencoder import Autoencoder, AutoencoderConfig
from models.bundle import (
    AutoencoderBundle,
    BundleError,
    Lineage,
    Manifest,
    TableVersion,
    load_tensors,
    read_manifest,
    save_bundle,
)
from models.generate import Generator, load_autoencoder

CONFIG = AutoencoderConfig(patch=2, widths=(16,), encoder_blocks=(1,), decoder_blocks=(1,), latent_channels=2, retouch_width=4)
LINEAGE = Lineage(
    run_id="r", tables=(TableVersion(uri="t", version=3),), selection=TableVersion(uri="s", version=1), parents=(), code="c"
)


def saved(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[Autoencoder, Manifest]:
    autoencoder = Autoencoder(CONFIG)
    contents = AutoencoderBundle(autoencoder=CONFIG, size_px=16)
    manifest = save_bundle(
        folder, contents, {"autoencoder": autoencoder.state_dict()}, lineage=LINEAGE, metrics={"x": 1.0}, dtype=dtype
    )
    return autoencoder, manifest


def test_a_bundle_gives_back_the_same_weights_and_lineage(tmp_path: Path) -> None:
    autoencoder, manifest = saved(tmp_path / "bundle")
    assert read_manifest(tmp_path / "bundle") == manifest
    assert manifest.lineage == LINEAGE
    loaded, _ = load_autoencoder(tmp_path / "bundle")
    for name, tensor in autoencoder.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_stored_in_bf16_it_loads_in_fp32_with_vectors_exact(tmp_path: Path) -> None:
    autoencoder, _ = saved(tmp_path / "bundle", torch.bfloat16)
    tensors = load_tensors(tmp_path / "bundle", "autoencoder")
    assert all(tensor.dtype == torch.float32 for tensor in tensors.values())
    assert torch.equal(tensors["latent_std"], autoencoder.latent_std)
    torch.testing.assert_close(tensors["linear_in.weight"], autoencoder.state_dict()["linear_in.weight"], atol=0, rtol=2**-8)


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "bundle")
    path = tmp_path / "bundle" / "autoencoder.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="changed or damaged"):
        load_tensors(tmp_path / "bundle", "autoencoder")


@pytest.mark.parametrize("version", [2, 99])
def test_another_format_version_is_refused_by_name(tmp_path: Path, version: int) -> None:
    saved(tmp_path / "bundle")
    path = tmp_path / "bundle" / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": version}))
    with pytest.raises(BundleError, match=f"format version {version}, this installation reads 3; fit it again"):
        read_manifest(tmp_path / "bundle")


def test_another_kind_and_an_empty_folder_are_refused_by_name(tmp_path: Path) -> None:
    saved(tmp_path / "bundle")
    with pytest.raises(BundleError, match="'autoencoder', expected 'generator'"):
        Generator.load(tmp_path / "bundle")
    with pytest.raises(BundleError, match="no bundle at"):
        read_manifest(tmp_path)


def test_the_digest_names_weights_and_not_the_place(tmp_path: Path) -> None:
    torch.manual_seed(0)
    _, first = saved(tmp_path / "a")
    torch.manual_seed(0)
    _, same = saved(tmp_path / "b")
    _, other = saved(tmp_path / "c")
    assert first.digest == same.digest != other.digest
