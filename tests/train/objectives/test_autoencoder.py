"""The autoencoder's loss and its last touch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from curation.decode import encode_png
from models.autoencoder import Autoencoder, AutoencoderConfig
from models.bundle import AutoencoderBundle, Lineage, TableVersion, save_bundle
from models.generate import load_autoencoder
from models.perception.perceptual import LiteConfig
from train.objectives.adversary import CRITIC, AdversaryConfig
from train.objectives.autoencoder import (
    HEAD,
    AutoencoderObjective,
    AutoencoderObjectiveConfig,
    PerceptualConfig,
    PictureBatch,
    all_but,
    error_in_range,
    middle,
)
from train.objectives.contract import Drawn
from train.objectives.smoothness import KlConfig, NoiseConfig
from train.objectives.takeover import UnfitStart

CONFIG = AutoencoderObjectiveConfig(
    autoencoder=AutoencoderConfig(
        patch=2, widths=(16,), encoder_blocks=(1,), decoder_blocks=(1,), latent_channels=4, retouch_width=4,
    ),
    size_px=8,
    smoothness=NoiseConfig(strength=0.1, pull=0.01),
    square_weight=1.0,
    edge_weight=0.5,
    perceptual=None,
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
    seeing = AutoencoderObjective(config.model_copy(update={"perceptual": PerceptualConfig(backbone=LiteConfig(), weight=2.0)}))
    seeing.network.load_state_dict(plain.network.state_dict())
    target = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    terms, more = (objective.loss(objective.collate([drawn(1, target)]), "main") for objective in (plain, seeing))
    perceptual = more.meters["perceptual"].sum / more.meters["perceptual"].count
    assert perceptual > 0
    torch.testing.assert_close(more.total, terms.total + 2.0 * perceptual, rtol=1e-4, atol=1e-6)
    assert len(list(seeing.network.parameters())) == len(list(plain.network.parameters()))


def batch_of(objective: AutoencoderObjective, num: int = 3) -> PictureBatch:
    generator = torch.Generator().manual_seed(5)
    size = objective.config.size_px
    return objective.collate(
        [drawn(key, torch.randint(0, 256, (3, size, size), dtype=torch.uint8, generator=generator)) for key in range(num)]
    )


def changed(**changes: object) -> AutoencoderObjectiveConfig:
    return AutoencoderObjectiveConfig.model_validate({**CONFIG.model_dump(), **changes})


def test_the_divergence_of_the_posterior_is_what_torch_says() -> None:
    torch.manual_seed(0)
    weighed, plain = (AutoencoderObjective(changed(smoothness=KlConfig(weight=weight))) for weight in (0.5, 1e-12))
    plain.network.load_state_dict(weighed.network.state_dict())
    batch = batch_of(weighed)
    raw, features = weighed.autoencoder.raw_latent_and_features(batch.pictures)
    assert weighed.spread is not None
    posterior = torch.distributions.Normal(raw, (0.5 * weighed.spread(features)).exp())
    divergence = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).mean()
    more = weighed.loss(batch, "main").total - plain.loss(batch, "main").total
    torch.testing.assert_close(more, 0.5 * divergence, rtol=1e-4, atol=1e-6)


def test_latents_are_disturbed_as_strongly_as_the_posterior_says() -> None:
    torch.manual_seed(0)
    objective = AutoencoderObjective(changed(smoothness=KlConfig(weight=0.1)))
    batch = batch_of(objective)
    assert objective.spread is not None
    biases = objective.spread.get_parameter("2.bias").data
    raw, _ = objective.autoencoder.raw_latent_and_features(batch.pictures)
    biases.fill_(-20.0)                                              # no noise to speak of
    steady, _, _ = objective._decoded(batch)
    torch.testing.assert_close(steady, objective.autoencoder.decode_raw(raw), atol=1e-3, rtol=0)
    biases.fill_(0.0)
    shaken, _, _ = objective._decoded(batch)
    torch.testing.assert_close(shaken, objective.autoencoder.decode_raw(raw + batch.latent_noise))
    assert all("spread" not in name for name in objective.export()[1]["autoencoder"])


def test_the_critic_learns_to_tell_and_the_decoder_is_drawn_towards_what_it_takes_for_real() -> None:
    torch.manual_seed(0)
    config = changed(size_px=16, adversary=AdversaryConfig(width=8, weight=0.5).model_dump())
    objective = AutoencoderObjective(config)
    batch, moving = batch_of(objective), {group.phase.name: group.parameters for group in objective.groups()}
    assert [phase.name for phase in objective.phases] == ["critic", "main"]
    critics = torch.optim.Adam(moving[CRITIC.name], lr=1e-2)
    first = objective.loss(batch, CRITIC.name)
    for _ in range(40):
        critics.zero_grad()
        objective.loss(batch, CRITIC.name).total.backward()
        critics.step()
    assert all(parameter.grad is None for parameter in objective.autoencoder.parameters())
    told = objective.loss(batch, CRITIC.name)
    assert told.total < 0.5 * first.total
    assert told.meters["score_real"].sum > 0 > told.meters["score_drawn"].sum
    with_critic, means = objective._reconstructed(batch)
    alone = AutoencoderObjective(changed(size_px=16))
    alone.autoencoder.load_state_dict(objective.autoencoder.state_dict())
    without, _ = alone._reconstructed(batch)
    torch.testing.assert_close(with_critic - without, -0.5 * means["score_drawn"], rtol=1e-4, atol=1e-5)


def test_scores_of_a_picture_depend_on_no_other() -> None:
    torch.manual_seed(0)
    objective = AutoencoderObjective(changed(size_px=32, adversary=AdversaryConfig(width=8, weight=0.5).model_dump()))
    pictures = batch_of(objective).pictures
    critic = objective.critic
    assert critic is not None
    torch.testing.assert_close(critic(pictures)[1:2], critic(pictures[1:2]))
    assert critic(pictures).shape == (3, 1, 4, 4)


def saved(folder: Path, autoencoder: Autoencoder) -> Path:
    lineage = Lineage(
        run_id="r", tables=(TableVersion(uri="t", version=1),), selection=TableVersion(uri="s", version=1), parents=(), code="c"
    )
    contents = AutoencoderBundle(autoencoder=autoencoder.config, size_px=8)
    save_bundle(folder, contents, {"autoencoder": autoencoder.state_dict()}, lineage=lineage, metrics={})
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    autoencoder = Autoencoder(CONFIG.autoencoder)
    autoencoder.take_statistics(3 * torch.randn(5, 4, 2, 2) + 1)
    return saved(tmp_path / "bundle", autoencoder)


def test_a_phase_goes_on_from_the_bundle_of_the_one_before_and_keeps_latents_that_did_not_move(bundle: Path) -> None:
    found, _ = load_autoencoder(bundle)
    objective = AutoencoderObjective(changed(start=str(bundle)))
    assert all(torch.equal(tensor, found.state_dict()[name]) for name, tensor in objective.autoencoder.state_dict().items())
    targets = [torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8) for _ in range(4)]
    objective.finish([targets])
    assert torch.equal(objective.autoencoder.latent_std, found.latent_std)
    objective.autoencoder.linear_in.bias.data += 0.1
    objective.finish([targets])
    assert not torch.equal(objective.autoencoder.latent_std, found.latent_std)


def test_another_decoder_begins_anew_on_the_same_latents_and_another_encoder_is_refused(bundle: Path) -> None:
    found, _ = load_autoencoder(bundle)
    shape = CONFIG.autoencoder.model_dump()
    slim = AutoencoderObjective(changed(start=str(bundle), autoencoder={**shape, "decoder_widths": (8,)}))
    pictures = torch.rand(2, 3, 8, 8)
    assert torch.equal(slim.autoencoder.encode(pictures), found.encode(pictures))
    with pytest.raises(UnfitStart, match=r"'widths': \(16,\).*'widths': \(32,\)"):
        AutoencoderObjective(changed(start=str(bundle), autoencoder={**shape, "widths": (32,), "decoder_widths": (8,)}))


@pytest.mark.parametrize("num_levels", [1, 3])
def test_phases_freeze_all_but_their_parts(num_levels: int) -> None:
    each = {"widths": (8,) * num_levels, "encoder_blocks": (1,) * num_levels, "decoder_blocks": (1,) * num_levels}
    shape = AutoencoderConfig.model_validate({**CONFIG.autoencoder.model_dump(), **each})
    names = [f"autoencoder.{name}" for name, _ in Autoencoder(shape).named_parameters()]
    assert all(name.startswith(all_but(shape)) for name in names)
    for parts in (middle(shape), HEAD):
        moved = tuple(f"autoencoder.{part}" for part in parts)
        assert all(any(name.startswith(part) for name in names) for part in moved)
        for name in names:
            assert name.startswith(all_but(shape, *parts)) != name.startswith(moved), name


def test_a_part_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no parts \['decoder.level.0.'\]; it has encoder.start."):
        all_but(CONFIG.autoencoder, "decoder.level.0.")
