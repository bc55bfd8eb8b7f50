"""Distances of pictures by networks that ship their weights, and by those that are named."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import torch
from safetensors.torch import save_file

from models.perception.perceptual import LiteConfig, PerceptualDistance, TimmConfig, UnusableBackbone

if TYPE_CHECKING:
    from timm.models.mobilenetv3 import MobileNetV3

NAME, LAYERS = "mobilenetv3_small_050", (0, 2)


def picture(seed: int) -> torch.Tensor:
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=64, mode="bicubic").clamp(-1, 1)


def test_it_is_zero_for_equal_pictures_and_grows_with_noise() -> None:
    distance, image = PerceptualDistance(LiteConfig()), picture(0)
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    assert distance(image, image) == 0
    assert 0 < distance(image + 0.02 * noise, image) < distance(image + 0.2 * noise, image)


def test_descending_it_brings_a_picture_nearer() -> None:
    distance, image, other = PerceptualDistance(LiteConfig()), picture(0), picture(2).requires_grad_()
    before = distance(other, image)
    (gradient,) = torch.autograd.grad(before, other)
    step = 0.05 * gradient / gradient.abs().max()
    assert distance(other.detach() - step, image) < before


def test_the_network_stands_still() -> None:
    distance = PerceptualDistance(LiteConfig())
    assert list(distance.parameters())
    assert not any(parameter.requires_grad for parameter in distance.parameters())


def untrained() -> "MobileNetV3":
    import timm  # after our models, which make torchvision importable

    torch.manual_seed(0)
    network = timm.create_model(NAME, pretrained=False)
    return cast("MobileNetV3", network.eval())


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network that was never trained: a file is a file."""
    path = tmp_path_factory.mktemp("weights") / "network.safetensors"
    save_file(untrained().state_dict(), path)
    return path


def test_a_named_network_compares_the_maps_that_are_asked_for_with_the_weights_of_the_file(weights: Path) -> None:
    network = untrained()
    distance = PerceptualDistance(TimmConfig(name=NAME, weights=str(weights), layers=LAYERS))
    one, other = picture(0), picture(2)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    ours, theirs = (
        network.forward_intermediates(((image + 1) / 2 - mean) / std, indices=list(LAYERS), intermediates_only=True)
        for image in (one, other)
    )
    assert isinstance(ours, list)
    assert isinstance(theirs, list)
    cosines = [torch.nn.functional.cosine_similarity(a, b, dim=1).mean() for a, b in zip(ours, theirs, strict=True)]
    torch.testing.assert_close(distance(one, other), torch.stack([2 - 2 * cosine for cosine in cosines]).mean())
    assert distance(one, one) == 0


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"name": "no_such_network"}, "timm has no network 'no_such_network'"),
        ({"layers": (9,)}, r"has 5 feature maps.*layers=\(9,\)"),
        ({"weights": "elsewhere.safetensors"}, "elsewhere.safetensors is no safetensors file; nothing is downloaded"),
        ({"name": "resnet10t", "layers": (0,)}, "does not hold the weights of resnet10t"),
    ],
)
def test_a_network_that_cannot_be_had_is_refused_by_name(weights: Path, changes: dict[str, object], seen: str) -> None:
    config = TimmConfig.model_validate({"name": NAME, "weights": str(weights), "layers": LAYERS, **changes})
    with pytest.raises(UnusableBackbone, match=seen):
        PerceptualDistance(config)
