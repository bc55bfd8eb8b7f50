"""Generation: batches, seeds, references and sizes."""

from pathlib import Path

import pytest
import torch

from models.autoencoder import Autoencoder, AutoencoderConfig
from models.dit import DiT
from models.generate import Generator, generate, noise_seed
from models.minilm import TEXT_WIDTH, MiniLmEncoder
from models.picture_sizes import ImageSize
from models.requests import Request
from models.samplers import SamplerConfig, Solver
from models.sizes import DiTConfig
from models.vlm import VlmConfig, VlmEncoder

SIZE = ImageSize(16, 16)


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    autoencoder = Autoencoder(
        AutoencoderConfig(patch=4, widths=(16,), encoder_blocks=(1,), decoder_blocks=(1,), latent_channels=4, retouch_width=4)
    )
    dit = DiT(
        DiTConfig(
            width=32, depth=2, num_heads=2, num_kv_heads=1, ffn_width=32, latent_channels=4, text_width=TEXT_WIDTH,
            rope_axes=(4, 6, 6), labels=("t2i", "edit", "set", "flat"),
        )
    )  # fmt: skip
    with torch.no_grad():
        for parameter in dit.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    sampler = SamplerConfig(num_steps=3, guidance=2.0, shift=1.0)
    return Generator(dit, autoencoder, MiniLmEncoder.load(), sampler=sampler, size=SIZE)


def test_an_encoder_that_sees_is_shown_the_references_of_each_branch(generator: Generator, tiny_vlm: Path) -> None:
    reader = VlmEncoder.load(VlmConfig(model=str(tiny_vlm), hidden_width=64, layers=(1, 2), picture_px=56))
    seeing = Generator(generator.dit, generator.autoencoder, reader, sampler=generator.sampler, size=SIZE)
    asked = request("make it blue", references=1)
    found = seeing._conditions([asked], [(torch.zeros(4, 4, 4),)], num_branches=3)
    expected = reader.encode(["make it blue", "", ""], [asked.references, asked.references, ()])
    for condition, states in zip(found, expected, strict=True):
        torch.testing.assert_close(condition.text, states)
    assert [len(condition.references) for condition in found] == [1, 1, 0]


def request(prompt: str, *, seed: int = 0, references: int = 0) -> Request:
    pictures = tuple(torch.full((3, 16, 16), 0.5) for _ in range(references))
    return Request(prompt, pictures, seed, SIZE)


def test_a_request_gives_the_same_picture_alone_and_in_a_mixed_batch(generator: Generator) -> None:
    requests = [request("a red apple"), request("make it blue", seed=1, references=1), request("both", seed=2, references=2)]
    together = generate(generator, requests)
    for sample, picture in zip(requests, together, strict=True):
        torch.testing.assert_close(generate(generator, [sample])[0], picture, atol=1e-4, rtol=1e-4)


def test_pictures_depend_on_prompt_seed_and_references(generator: Generator) -> None:
    base = generate(generator, [request("a red apple")])[0]
    for other in (request("a dog"), request("a red apple", seed=1), request("a red apple", references=1)):
        assert not torch.allclose(base, generate(generator, [other])[0], atol=1e-3)


def test_without_guidance_the_prompt_alone_counts(generator: Generator) -> None:
    plain = SamplerConfig(num_steps=3, guidance=1.0, shift=1.0)
    pictures = generate(generator, [request("a red apple")], sampler=plain)
    assert pictures[0].shape == (3, 16, 16)
    assert pictures[0].abs().max() <= 1


@pytest.mark.parametrize("solver", ["euler", "heun", "multistep"])
def test_every_solver_and_guidance_gives_a_request_its_own_picture_in_any_batch(generator: Generator, solver: Solver) -> None:
    sampler = SamplerConfig(num_steps=4, solver=solver, guidance=2.0, reference_guidance=1.5, shift=2.0, shift_tokens=16)
    large = request("both", seed=2, references=2)._replace(size=ImageSize(32, 16))
    requests = [request("a red apple"), request("make it blue", seed=1, references=1), large]
    together = generate(generator, requests, sampler=sampler)
    assert together[2].shape == (3, 32, 16)
    for sample, picture in zip(requests, together, strict=True):
        torch.testing.assert_close(generate(generator, [sample], sampler=sampler)[0], picture, atol=1e-4, rtol=1e-4)


def test_guidance_towards_references_changes_edits_and_nothing_else(generator: Generator) -> None:
    weak, strong = (SamplerConfig(num_steps=3, guidance=2.0, reference_guidance=r, shift=1.0) for r in (1.0, 4.0))
    for references, is_same in ((0, True), (1, False)):
        sample = request("make it blue", references=references)
        weakly, strongly = (generate(generator, [sample], sampler=sampler)[0] for sampler in (weak, strong))
        assert torch.allclose(weakly, strongly, atol=1e-4) == is_same


def test_progress_is_reported_every_step(generator: Generator) -> None:
    seen: list[tuple[int, int]] = []
    generate(generator, [request("a red apple")], on_step=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_size_between_two_cells_is_refused(generator: Generator) -> None:
    with pytest.raises(ValueError, match="18x16 cannot be drawn: both sides must be multiples of 4 px"):
        generate(generator, [request("a red apple")._replace(size=ImageSize(16, 18))])


def test_pictures_of_a_set_are_drawn_in_sight_of_earlier_ones_with_noise_of_their_own(generator: Generator) -> None:
    sampler = SamplerConfig(num_steps=3, solver="multistep", guidance=2.0, reference_guidance=1.5, shift=1.0)
    three, two = request("a cat", references=1)._replace(num_images=3), request("a dog", seed=9)._replace(num_images=2)
    seen: list[tuple[int, int]] = []
    together = generate(
        generator, [three, request("one"), two], sampler=sampler, on_step=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (9, 9)
    assert len(together) == 6
    alone = [*generate(generator, [three], sampler=sampler), *generate(generator, [two], sampler=sampler)]
    for picture, expected in zip([*together[:3], *together[4:]], alone, strict=True):
        torch.testing.assert_close(picture, expected, atol=1e-4, rtol=1e-4)
    shorter = generate(generator, [three._replace(num_images=2)], sampler=sampler)
    torch.testing.assert_close(torch.stack(shorter), torch.stack(alone[:2]), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(alone[0], alone[1], atol=1e-2)


def test_every_picture_of_a_set_has_noise_of_its_own_whatever_the_seed() -> None:
    seeds = [noise_seed(seed, number) for seed in (0, 1, 7, 2**31 - 1) for number in range(16)]
    assert len({seed % 2**32 for seed in seeds}) == len(seeds)
    assert noise_seed(7, 0) == 7


def test_a_branch_without_references_numbers_its_pictures_as_training_does(generator: Generator) -> None:
    sampler = SamplerConfig(num_steps=1, guidance=2.0, reference_guidance=1.5, shift=1.0)
    progress = generator.start([request("both", references=2)._replace(num_images=2)], sampler=sampler)
    for _ in range(2):
        progress = generator.step(progress)
    cells = int(progress.now.noisy.lengths[0])
    assert progress.now.noisy.positions[::cells, 0].tolist() == [3, 3, 1]


def test_a_later_picture_depends_on_what_an_earlier_one_turned_out_to_be(generator: Generator) -> None:
    sampler = SamplerConfig(num_steps=2, guidance=1.0, shift=1.0)
    asked = request("a cat")._replace(num_images=2)
    progress = generator.start([asked], sampler=sampler)
    for _ in range(2):
        progress = generator.step(progress)
    other = progress._replace(now=progress.now._replace(latents=-progress.now.latents))
    found = []
    for each in (progress, other):
        while not each.is_done:
            each = generator.step(each)
        found.append(generator.finish(each)[1])
    assert not torch.allclose(*found, atol=1e-3)


@pytest.mark.parametrize("solver", ["euler", "heun", "multistep"])
def test_outside_its_mask_a_picture_is_the_original_and_inside_it_is_drawn_to_fit(generator: Generator, solver: Solver) -> None:
    torch.manual_seed(3)
    sampler = SamplerConfig(num_steps=3, solver=solver, guidance=2.0, shift=1.0)
    original, mask = torch.rand(3, 18, 22) * 2 - 1, torch.zeros(1, 18, 22)
    mask[:, 4:9, 2:10] = 1.0
    masked = Request("a hole", (original,), 5, None, mask=mask)
    picture, plain = generate(generator, [masked, request("a red apple")], sampler=sampler)
    assert picture.shape == original.shape
    assert torch.equal(picture[:, mask[0] == 0], original[:, mask[0] == 0])
    assert not torch.allclose(picture[:, mask[0] > 0], original[:, mask[0] > 0], atol=1e-2)
    torch.testing.assert_close(plain, generate(generator, [request("a red apple")], sampler=sampler)[0], atol=1e-4, rtol=1e-4)
    shifted = original.clone()
    shifted[:, :, 16:] *= -1
    other = generate(generator, [masked._replace(references=(shifted,))], sampler=sampler)[0]
    assert not torch.allclose(picture[:, mask[0] > 0], other[:, mask[0] > 0], atol=1e-4)


def test_tags_change_the_picture_and_unknown_ones_are_refused(generator: Generator) -> None:
    plain, tagged = (generate(generator, [request("a cat")._replace(tags=tags)])[0] for tags in ((), ("flat",)))
    assert not torch.allclose(plain, tagged, atol=1e-3)
    with pytest.raises(ValueError, match="tag 'oil' is not known"):
        generate(generator, [request("a cat")._replace(tags=("oil",))])


def test_references_of_any_size_are_scaled_to_the_grid(generator: Generator) -> None:
    odd = request("make it blue")._replace(references=(torch.zeros(3, 15, 33),), size=None)
    assert generate(generator, [odd])[0].shape == (3, 12, 24)
