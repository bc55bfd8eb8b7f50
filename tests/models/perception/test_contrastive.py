import pytest
import torch
from torch.nn import functional

from models.perception.contrastive import ContrastiveConfig, ContrastiveHead

CONFIG = ContrastiveConfig(width=16, text_hidden=32, image_noise=1.0)


@pytest.fixture
def head() -> ContrastiveHead:
    torch.manual_seed(0)
    return ContrastiveHead(CONFIG)


def test_both_sides_are_unit_vectors(head: ContrastiveHead) -> None:
    for vectors in (head.encode_images(torch.randn(4, 1280)), head.encode_texts(torch.randn(4, 384))):
        assert torch.allclose(vectors.norm(dim=1), torch.ones(4), atol=1e-5)


def test_calibration_makes_the_head_blind_to_offset_and_scale_of_the_features(head: ContrastiveHead) -> None:
    features = torch.randn(64, 1280)
    head.calibrate(features)
    before = head.encode_images(features)
    head.calibrate(features * 7 + 3)
    assert torch.allclose(head.encode_images(features * 7 + 3), before, atol=1e-2)
    assert not torch.allclose(head.encode_images(features), before, atol=1e-2)


def test_a_constant_feature_does_not_blow_up(head: ContrastiveHead) -> None:
    features = torch.randn(8, 1280)
    features[:, 0] = 2.0
    head.calibrate(features)
    assert head.encode_images(features).isfinite().all()


def test_noise_moves_pictures_only_when_it_is_given(head: ContrastiveHead) -> None:
    features, noise = torch.randn(3, 1280), torch.randn(3, 1280)
    still = head.encode_images(features)
    assert torch.equal(head.encode_images(features), still)
    assert torch.allclose(head.encode_images(features, noise=0 * noise), still)
    assert (head.encode_images(features, noise=noise) * still).sum(1).max() < 0.99


def test_the_temperature_has_a_ceiling(head: ContrastiveHead) -> None:
    with torch.no_grad():
        head.log_scale.fill_(50.0)
    assert head.scale().item() == pytest.approx(100.0, rel=1e-4)


def test_a_few_steps_teach_it_which_caption_belongs_to_which_picture(head: ContrastiveHead) -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(24, 1280, generator=generator)
    texts = functional.normalize(torch.randn(24, 384, generator=generator), dim=1)
    head.calibrate(features)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    for _ in range(30):
        noise = torch.randn(features.shape, generator=generator)
        scores = head.scale() * head.encode_images(features, noise=noise) @ head.encode_texts(texts).T
        loss = functional.cross_entropy(scores, torch.arange(24)) + functional.cross_entropy(scores.T, torch.arange(24))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = (head.encode_images(features) @ head.encode_texts(texts).T).argmax(1)
    assert (found == torch.arange(24)).float().mean() >= 0.95
