"""Packing keeps every sample's tokens together and in order."""

import torch

from models.sequence import Condition, flat, grid_positions, pack_clean, pack_noisy, unflat, unpack_noisy


def test_clean_tokens_of_a_sample_are_its_text_then_its_references() -> None:
    first = Condition(torch.full((2, 5), 1.0), (torch.full((3, 2, 2), 7.0),))
    second = Condition(torch.full((3, 5), 2.0), ())
    clean = pack_clean([first, second], latent_channels=3)
    assert clean.lengths.tolist() == [6, 3]
    rows = clean.order.tolist()
    num_text = len(clean.text)
    assert rows == [0, 1, num_text, num_text + 1, num_text + 2, num_text + 3, 2, 3, 4]
    assert clean.positions[:2].tolist() == [[-1, 0, 0], [-1, 1, 1]]
    assert clean.positions[2:6, 0].tolist() == [1, 1, 1, 1]


def test_references_are_numbered_from_one_and_the_target_is_image_zero() -> None:
    condition = Condition(torch.zeros(1, 5), (torch.zeros(3, 1, 1), torch.zeros(3, 1, 2)))
    assert pack_clean([condition], latent_channels=3).positions[1:, 0].tolist() == [1, 2, 2]
    assert pack_noisy([torch.zeros(3, 2, 2)]).positions[:, 0].tolist() == [0, 0, 0, 0]


def test_flattening_goes_row_by_row_and_back() -> None:
    latent = torch.arange(12.0).reshape(2, 2, 3)
    assert torch.equal(unflat(flat(latent), 2, 3), latent)
    assert grid_positions(4, 2, 3)[4].tolist() == [4, 1, 1]
    assert flat(latent)[4].tolist() == [latent[0, 1, 1].item(), latent[1, 1, 1].item()]


def test_latents_of_different_sizes_survive_packing() -> None:
    latents = [torch.randn(3, 2, 2), torch.randn(3, 1, 4)]
    packed = pack_noisy(latents)
    for was, came in zip(latents, unpack_noisy(packed.latents, [(2, 2), (1, 4)]), strict=True):
        assert torch.equal(was, came)
