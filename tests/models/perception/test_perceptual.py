import torch

from models.perception.perceptual import PerceptualDistance


def picture(seed: int) -> torch.Tensor:
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=64, mode="bicubic").clamp(-1, 1)


def test_it_is_zero_for_equal_pictures_and_grows_with_noise() -> None:
    distance, image = PerceptualDistance(), picture(0)
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    assert distance(image, image) == 0
    assert 0 < distance(image + 0.02 * noise, image) < distance(image + 0.2 * noise, image)


def test_descending_it_brings_a_picture_nearer() -> None:
    distance, image, other = PerceptualDistance(), picture(0), picture(2).requires_grad_()
    before = distance(other, image)
    (gradient,) = torch.autograd.grad(before, other)
    step = 0.05 * gradient / gradient.abs().max()
    assert distance(other.detach() - step, image) < before


def test_the_network_is_nobodys_parameter() -> None:
    distance = PerceptualDistance()
    assert not list(distance.parameters())
    assert not distance.state_dict()
