"""Cosines of pictures and their texts by a head and by a model of open_clip, each small and real in every part."""

import io
import json
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from curation.decode import decode_scaled
from curation.signals import features
from curation.signals.alignment import AlignmentConfig, HeadModel, OpenClipModel
from curation.signals.contract import VIEW_SIDE_PX, Batch
from curation.tables import FEATURE_DIM
from infra.errors import UserError
from infra.storage import Workspace
from models.bundle import ContrastiveBundle, Lineage, TableVersion, save_bundle
from models.minilm import MiniLmEncoder
from models.perception.alignment import open_clip  # behind the shim that lets it be imported
from models.perception.contrastive import ContrastiveConfig, ContrastiveHead
from pipelines.measuring import signals_of

TEXTS = ["a red apple", "", "two dogs in the snow", "a red apple"]
NAME = "tiny-for-a-test"


def write_head(folder: Path, *, seed: int) -> ContrastiveHead:
    torch.manual_seed(seed)
    shape = ContrastiveConfig(width=16, text_hidden=8, image_noise=0.0)
    head = ContrastiveHead(shape).requires_grad_(requires_grad=False)
    selection = TableVersion(uri="/nowhere/selection.lance", version=1)
    lineage = Lineage(run_id="r", tables=(), selection=selection, parents=(), code="c0de")
    save_bundle(folder, ContrastiveBundle(head=shape), {"contrastive": head.state_dict()}, lineage=lineage, metrics={})
    return head


def test_a_head_compares_features_with_the_english_text(tmp_path: Path, workspace: Workspace) -> None:
    head = write_head(tmp_path / "one", seed=1)
    config = AlignmentConfig(model=HeadModel(bundle=str(tmp_path / "one")))
    first, signal = signals_of([config], workspace)
    assert first == features.SIGNAL
    vectors = np.random.default_rng(0).normal(size=(4, FEATURE_DIM)).astype(np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), FEATURE_DIM, mask=pa.array([False, False, False, True]))
    rows = pa.table({"image_features": column, "text_en": TEXTS})
    found = signal.build()(Batch(rows, []))["alignment"].to_pylist()
    assert (found[1], found[3]) == (None, None)
    encoder = MiniLmEncoder.load()
    for row in (0, 2):
        picture, text = head.encode_images(torch.from_numpy(vectors[[row]])), head.encode_texts(encoder.pooled([TEXTS[row]]))
        assert found[row] == pytest.approx(float((picture * text).sum()), abs=1e-4)
    write_head(tmp_path / "two", seed=2)
    (_, other) = signals_of([AlignmentConfig(model=HeadModel(bundle=str(tmp_path / "two")))], workspace)
    assert other.version != signal.version
    with pytest.raises(UserError, match="give the folder that `seedbed fit contrastive` made"):
        signals_of([AlignmentConfig(model=HeadModel(bundle=str(tmp_path)))], workspace)


def test_a_model_of_open_clip_compares_the_picture_itself(tmp_path: Path, workspace: Workspace) -> None:
    shape = {
        "embed_dim": 16, "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }  # fmt: skip
    (tmp_path / f"{NAME}.json").write_text(json.dumps(shape))
    open_clip.add_model_config(tmp_path / f"{NAME}.json")
    torch.manual_seed(0)
    model = cast("open_clip.CLIP", open_clip.create_model(NAME, pretrained=None)).eval()
    weights = tmp_path / "open_clip_model.safetensors"
    save_file(model.state_dict(), weights)
    (signal,) = signals_of([AlignmentConfig(model=OpenClipModel(name=NAME, weights=str(weights)))], workspace)
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(buffer, "PNG")
    pictures = [decode_scaled(buffer.getvalue(), VIEW_SIDE_PX)] * len(TEXTS)
    found = signal.build()(Batch(pa.table({"text_en": TEXTS}), pictures))["alignment"].to_pylist()
    assert (found[0], found[1]) == (found[3], None)
    mean, deviation = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    red = torch.tensor((np.array([1, 0, 0]) - mean) / deviation, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    with torch.inference_mode():
        picture = model.encode_image(red)
        for row in (0, 2):
            text = model.encode_text(open_clip.tokenize([TEXTS[row]]))
            assert found[row] == pytest.approx(float(torch.cosine_similarity(picture, text)), abs=2e-4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-Z-1", "open_clip has no model 'ViT-Z-1'"), ("ViT-B-16-SigLIP", "would be downloaded"),
        ("ViT-B-32", "is no safetensors file"),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_says_so_before_any_work(name: str, message: str, tmp_path: Path, workspace: Workspace) -> None:
    weights = tmp_path / "model.bin"
    weights.write_bytes(b"pickle")
    with pytest.raises(UserError, match=message):
        signals_of([AlignmentConfig(model=OpenClipModel(name=name, weights=str(weights)))], workspace)
