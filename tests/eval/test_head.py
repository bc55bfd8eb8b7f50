from pathlib import Path

import pytest
import torch

from eval.head import load_contrastive
from models.autoencoder import AutoencoderConfig
from models.bundle import AutoencoderBundle, BundleError, ContrastiveBundle, Lineage, TableVersion, save_bundle
from models.perception.contrastive import ContrastiveConfig, ContrastiveHead

LINEAGE = Lineage(run_id="r", tables=(), selection=TableVersion(uri="/nowhere", version=1), parents=(), code="c")


def test_a_stored_head_scores_as_before(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = ContrastiveConfig(width=16, text_hidden=32, image_noise=1.0)
    head, features = ContrastiveHead(config), torch.randn(8, 1280)
    head.calibrate(features)
    weights = {"contrastive": head.state_dict()}
    save_bundle(tmp_path / "head", ContrastiveBundle(head=config), weights, lineage=LINEAGE, metrics={})
    again = load_contrastive(tmp_path / "head")
    assert torch.equal(again.encode_images(features), head.encode_images(features))
    assert not again.training


def test_a_folder_without_a_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle at"):
        load_contrastive(tmp_path / "nothing")
    shape = AutoencoderConfig(patch=4, widths=(16,), encoder_blocks=(1,), decoder_blocks=(1,), latent_channels=4, retouch_width=4)
    other = AutoencoderBundle(autoencoder=shape, size_px=32)
    save_bundle(tmp_path / "other", other, {"autoencoder": {"weight": torch.zeros(1)}}, lineage=LINEAGE, metrics={})
    with pytest.raises(BundleError, match="expected 'contrastive'"):
        load_contrastive(tmp_path / "other")
