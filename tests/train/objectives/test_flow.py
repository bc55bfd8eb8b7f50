"""The generator's objective: what a sample is shown, and which tokens take every block."""

from pathlib import Path

import pytest
import torch
from tiny_fit import CHANNELS, changed, tiny_fit

from models.bundle import GeneratorBundle
from models.glyphs import MAX_BYTES, GlyphConfig
from models.routing import RoutingConfig
from models.vlm import VlmConfig
from train.config import FitConfig
from train.objectives.contract import Drawn
from train.objectives.flow import Flow, FlowConfig, UnfitAutoencoder

ROUTING = RoutingConfig(first=1, last=1, min_tokens=16).model_dump()


@pytest.fixture
def config(tmp_path: Path) -> FitConfig:
    return tiny_fit(tmp_path)


def deep(config: FitConfig) -> dict[str, object]:
    """Its transformer with two blocks in the middle."""
    assert isinstance(config.objective, FlowConfig)
    return {**config.objective.dit.model_dump(), "depth": 4}


def flow(config: FitConfig, **changes: object) -> Flow:
    changed_config = changed(config, objective=changes).objective
    assert isinstance(changed_config, FlowConfig)
    objective = Flow(changed_config)
    torch.manual_seed(0)
    objective.network.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in objective.network.parameters():
            parameter.normal_(std=0.1)
    return objective


def drawn(objective: Flow, *, key: int, side: int = 4) -> Drawn:
    channels = objective.config.dit.latent_channels
    return Drawn(
        key=key, task="edit", texts=("make it red",), text_weights=(1.0,), score_text="a red apple",
        target=torch.randn(channels, side, side, generator=torch.Generator().manual_seed(key)),
        references=(torch.ones(channels, 2, 2),), tags=("colour",),
    )  # fmt: skip


def drawn_set(objective: Flow, *, key: int) -> Drawn:
    channels, generator = objective.config.dit.latent_channels, torch.Generator().manual_seed(key)
    first, *further = (torch.randn(channels, side, 2, generator=generator) for side in (1, 2, 3))
    return drawn(objective, key=key)._replace(task="set", target=first, further=tuple(further))


def test_references_are_left_out_as_often_as_asked_and_never_without_being_asked(config: FitConfig) -> None:
    for share, least, most in ((0.0, 0, 0), (0.5, 20, 44), (1.0, 64, 64)):
        objective = flow(config, reference_dropout=share)
        batch = objective.collate([drawn(objective, key=key) for key in range(64)])
        num_references = len(batch.clean.latents) // 4
        assert least <= 64 - num_references <= most, share


def test_a_sample_is_drawn_alike_in_any_pack(config: FitConfig) -> None:
    objective = flow(config, reference_dropout=0.5, routing=ROUTING, dit=deep(config))
    together = objective.collate([drawn(objective, key=key) for key in range(3)])
    alone = [objective.collate([drawn(objective, key=key)]) for key in range(3)]
    assert torch.equal(together.noise, torch.cat([batch.noise for batch in alone]))
    assert torch.equal(together.time, torch.cat([batch.time for batch in alone]))
    assert together.route is not None
    own = [batch.route.rows for batch in alone if batch.route is not None]
    size = len(alone[0].noise)
    assert torch.equal(together.route.rows, torch.cat([rows + size * number for number, rows in enumerate(own)]))


def test_routing_halves_the_tokens_in_the_middle_and_keeps_every_token_in_the_loss(config: FitConfig) -> None:
    objective = flow(config, routing=ROUTING, dit=deep(config))
    batch = objective.collate([drawn(objective, key=key) for key in range(2)])
    assert batch.route is not None
    assert len(batch.route.rows) * 2 == len(batch.noise)
    seen: list[int] = []
    for block in objective.dit.blocks:
        block.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    terms = objective.loss(batch, "main")
    clean, noisy = len(batch.clean.order), len(batch.noise)
    assert seen == [clean] * 3 + [noisy, noisy // 2, noisy // 2, noisy]
    assert terms.meters["flow_mse_edit"].count.item() == noisy
    terms.total.backward()
    assert all(parameter.grad is not None for parameter in objective.dit.parameters())


def test_routing_without_blocks_in_the_middle_is_refused(config: FitConfig) -> None:
    with pytest.raises(ValueError, match="leave no block"):
        flow(config, routing=RoutingConfig().model_dump())


def test_the_bundle_draws_the_size_it_is_given_if_the_autoencoder_can(config: FitConfig) -> None:
    for given, size_px in ((None, 8), (24, 24)):
        contents, _ = flow(config, size_px=given).export()
        assert isinstance(contents, GeneratorBundle)
        assert contents.size_px == size_px
    with pytest.raises(UnfitAutoencoder, match="size_px=10 is no multiple of the factor 4 of"):
        flow(config, size_px=10)


def test_every_target_of_a_set_has_noise_and_times_of_its_own_and_a_segment_that_shows_earlier_ones(config: FitConfig) -> None:
    objective = flow(config, num_draws=2)
    batch = objective.collate([drawn_set(objective, key=5), drawn(objective, key=6)])
    assert batch.data.lengths.tolist() == [2, 2, 4, 4, 6, 6, 16, 16]
    assert batch.target.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len(batch.time.unique()) == 8
    num_text = len(batch.clean.text) // 2
    assert batch.clean.seen.tolist() == [num_text + 4, num_text + 4 + 2, num_text + 4 + 2 + 4, num_text + 4]
    first_of_each = torch.cumsum(batch.data.lengths, 0) - batch.data.lengths
    assert batch.data.positions[first_of_each, 0].tolist() == [0, 0, 2, 2, 3, 3, 0, 0]
    terms = objective.loss(batch, "main")
    assert terms.meters["flow_mse_set"].count.item() == 24
    terms.total.backward()


def test_labels_are_the_task_and_as_often_as_asked_the_tags(config: FitConfig) -> None:
    assert isinstance(config.objective, FlowConfig)
    labelled = {**config.objective.dit.model_dump(), "labels": ("edit", "colour", "set")}
    for dropout, least, most in ((0.0, 64, 64), (0.5, 20, 44), (1.0, 0, 0)):
        objective = flow(config, dit=labelled, tag_dropout=dropout, num_draws=1)
        labels = objective.collate([drawn(objective, key=key) for key in range(64)]).marks.labels
        assert labels[:, 0].all()
        assert not labels[:, 2].any()
        assert least <= int(labels[:, 1].sum()) <= most


def test_parts_under_defects_teach_nothing(config: FitConfig) -> None:
    objective = flow(config, masks_defects=True)
    learnt = torch.ones(1, 4, 4)
    learnt[:, :, 3] = 0.0
    whole = drawn(objective, key=1)
    batch = objective.collate([whole._replace(target=torch.cat([whole.target, learnt]))])
    assert batch.learnt.view(-1, 4, 4)[:, :, 3].sum() == 0
    assert batch.learnt.mean() == 0.75
    error = objective.loss(batch, "main").meters["flow_mse_edit"]
    unmasked = objective.loss(batch._replace(learnt=torch.ones_like(batch.learnt)), "main").meters["flow_mse_edit"]
    right = objective.loss(batch._replace(learnt=1 - batch.learnt), "main").meters["flow_mse_edit"]
    torch.testing.assert_close(error.sum + right.sum, unmasked.sum)
    assert 0 < error.sum < unmasked.sum


REPA = {"backbone": {"kind": "lite0"}, "patch_px": 16, "block": 2, "hidden": 16, "weight": 0.5}


def with_pixels(objective: Flow, *, key: int, side: int) -> Drawn:
    sample = drawn(objective, key=key, side=side)
    pixels = torch.rand(768, side, side, generator=torch.Generator().manual_seed(key)) * 2 - 1
    references = tuple(torch.cat([latent, torch.zeros(768, *latent.shape[1:])]) for latent in sample.references)
    return sample._replace(target=torch.cat([sample.target, pixels]), references=references)


def test_tokens_are_drawn_to_what_a_network_sees_and_the_bundle_knows_nothing_of_it(config: FitConfig) -> None:
    plain, drawn_to = flow(config, num_draws=2), flow(config, num_draws=2, repa=REPA)
    drawn_to.dit.load_state_dict(plain.dit.state_dict())
    sides = {1: 4, 2: 2}
    without = plain.loss(plain.collate([drawn(plain, key=key, side=side) for key, side in sides.items()]), "main")
    terms = drawn_to.loss(drawn_to.collate([with_pixels(drawn_to, key=key, side=side) for key, side in sides.items()]), "main")
    cosine = terms.meters["repa_cosine"]
    assert cosine.count == 2 * (16 + 4)
    torch.testing.assert_close(terms.total, without.total - 0.5 * cosine.sum / cosine.count)
    terms.total.backward()
    trained = {id(parameter) for group in drawn_to.groups() for parameter in group.parameters}
    assert all(parameter.grad is not None and id(parameter) in trained for parameter in drawn_to.network.parameters())
    _, weights = drawn_to.export()
    assert weights["dit"].keys() == plain.dit.state_dict().keys()
    own = drawn_to.generator(dict(drawn_to.network.state_dict())).dit.state_dict()
    assert all(torch.equal(tensor, plain.dit.state_dict()[name]) for name, tensor in own.items())


def test_copies_of_a_target_share_its_features_and_routed_tokens_have_no_part(config: FitConfig) -> None:
    objective = flow(config, num_draws=2, repa=REPA, routing=ROUTING, dit=deep(config))
    batch = objective.collate([with_pixels(objective, key=key, side=4) for key in (1, 2)])
    assert len(batch.patches) == 2
    assert batch.route is not None
    assert objective.loss(batch, "main").meters["repa_cosine"].count == len(batch.route.rows)


def test_a_vision_language_model_is_read_and_the_mixing_of_its_layers_is_learnt(config: FitConfig, tiny_vlm: Path) -> None:
    assert isinstance(config.objective, FlowConfig)
    reads = VlmConfig(model=str(tiny_vlm), hidden_width=64, layers=(0, 1, -1), picture_px=56)
    dit = {**config.objective.dit.model_dump(), "text_width": reads.width, "text_layers": len(reads.layers)}
    objective = flow(config, text_encoder=reads.model_dump(), dit=dit, text_dropout=0.0)
    latent, pixels = torch.ones(CHANNELS, 2, 2), torch.ones(3 * 28**2, 2, 2)       # 56 px: 28 a cell
    samples = [drawn(objective, key=key)._replace(references=(torch.cat([latent, pixels]),)) for key in range(4)]
    objective.learn_texts([text for sample in samples for text in sample.texts])
    batch = objective.collate(samples)
    others = objective.collate([each._replace(references=(torch.cat([latent, -pixels]),)) for each in samples])
    assert batch.clean.text.shape == others.clean.text.shape
    assert not torch.allclose(batch.clean.text, others.clean.text, atol=1e-3)      # references are seen in the words
    optimizer = torch.optim.Adam(objective.dit.parameters(), lr=3e-3)
    before, scales = objective.loss(batch, "main").total.item(), objective.dit.norm_text.weight.detach().clone()
    for _ in range(40):
        optimizer.zero_grad()
        objective.loss(batch, "main").total.backward()
        optimizer.step()
    assert objective.loss(batch, "main").total.item() < 0.8 * before
    assert not torch.allclose(objective.dit.norm_text.weight, scales)


def test_quoted_text_is_spelt_out_unless_the_text_is_left_out(config: FitConfig) -> None:
    assert isinstance(config.objective, FlowConfig)
    glyphs = GlyphConfig(width=16, depth=1, num_heads=2, ffn_width=16)
    reading = {**config.objective.dit.model_dump(), "glyphs": glyphs.model_dump()}
    quotes = {"texts": ('a sign, "OPEN"',)}
    for dropout, letters in ((0.0, b"OPEN"), (1.0, b"")):
        objective = flow(config, dit=reading, text_dropout=dropout)
        batch = objective.collate([drawn(objective, key=1)._replace(**quotes), drawn(objective, key=2)])
        assert bytes(batch.clean.glyphs.bytes.tolist()) == letters
        objective.loss(batch, "main").total.backward()
    plain = flow(config)
    assert (plain.max_letters, objective.max_letters) == (0, MAX_BYTES)
    assert not len(plain.collate([drawn(plain, key=1)._replace(**quotes)]).clean.glyphs.bytes)
