"""The autoencoder's loss and its last touch."""

import numpy as np
import torch
from PIL import Image

from curation.decode import encode_png
from models.autoencoder import AutoencoderConfig
from train.objectives.autoencoder import AutoencoderObjective, AutoencoderObjectiveConfig, error_in_range
from train.objectives.contract import Drawn

CONFIG = AutoencoderObjectiveConfig(
    autoencoder=AutoencoderConfig(
        patch=2, widths=(16,), encoder_blocks=(1,), decoder_blocks=(1,), latent_channels=4, retouch_width=4,
    ),
    size_px=8,
    latent_noise=0.1,
    latent_pull=0.01,
    square_weight=1.0,
    edge_weight=0.5,
    perceptual_weight=0.0,
)


def drawn(key: int, target: torch.Tensor) -> Drawn:
    return Drawn(key=key, task="t2i", texts=("a",), text_weights=(1.0,), score_text="a", target=target, references=())


def test_going_beyond_a_bound_that_the_picture_lies_on_is_no_error() -> None:
    decoded = torch.tensor([1.3, 1.3, -1.2, 0.9]).reshape(1, 1, 1, 4).expand(1, 3, 1, 4)
    pictures = torch.tensor([1.0, 0.5, -1.0, 1.0]).reshape(1, 1, 1, 4).expand(1, 3, 1, 4)
    expected = torch.tensor([0.0, 0.8, 0.0, -0.1])
    torch.testing.assert_close(error_in_range(decoded, pictures)[0, 0, 0], expected)


def test_a_few_steps_bring_the_loss_down() -> None:
    torch.manual_seed(0)
    objective = AutoencoderObjective(CONFIG)
    batch = objective.collate([drawn(key, torch.randint(0, 255, (3, 8, 8), dtype=torch.uint8)) for key in range(4)])
    optimizer = torch.optim.Adam(objective.network.parameters(), lr=3e-3)
    first = objective.loss(batch, "main").total.item()
    for _ in range(60):
        optimizer.zero_grad()
        objective.loss(batch, "main").total.backward()
        optimizer.step()
    assert objective.loss(batch, "main").total.item() < 0.7 * first


def test_the_same_key_mirrors_and_disturbs_alike() -> None:
    objective, target = AutoencoderObjective(CONFIG), torch.randint(0, 255, (3, 8, 8), dtype=torch.uint8)
    one, same, other = (objective.collate([drawn(key, target)]) for key in (3, 3, 4))
    assert torch.equal(one.pictures, same.pictures)
    assert torch.equal(one.latent_noise, same.latent_noise)
    assert not torch.equal(one.latent_noise, other.latent_noise)


def test_decoding_gives_the_training_view_and_finishing_normalises_latents() -> None:
    objective = AutoencoderObjective(CONFIG)
    pixels = np.asarray(Image.effect_noise((16, 16), 80).convert("RGB"))
    target = objective.decode({"image": encode_png(pixels)})
    assert target.shape == (3, 8, 8)
    targets = [target, target.flip(1), target.flip(2)]
    objective.finish([targets[:2], targets[2:]])
    latents = objective.autoencoder.encode(torch.stack(targets).float() / 127.5 - 1)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)


def test_what_a_network_sees_counts_by_its_weight() -> None:
    torch.manual_seed(0)
    config = CONFIG.model_copy(update={"size_px": 32})
    plain = AutoencoderObjective(config)
    seeing = AutoencoderObjective(config.model_copy(update={"perceptual_weight": 2.0}))
    seeing.network.load_state_dict(plain.network.state_dict())
    target = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    terms, more = (objective.loss(objective.collate([drawn(1, target)]), "main") for objective in (plain, seeing))
    perceptual = more.meters["perceptual"].sum / more.meters["perceptual"].count
    assert perceptual > 0
    torch.testing.assert_close(more.total, terms.total + 2.0 * perceptual, rtol=1e-4, atol=1e-6)
    assert len(list(seeing.network.parameters())) == len(list(plain.network.parameters()))
