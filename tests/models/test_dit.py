"""Causal, packed, cached: what the transformer promises."""

import pytest
import torch
from tiny_dit import stirred

from models.dit import DiT, Marks
from models.glyphs import GlyphConfig
from models.sequence import Condition, pack_clean, pack_further, pack_noisy, target_index
from models.sizes import DiTConfig, base, full, micro, small, tiny

CONFIG = DiTConfig(
    width=32, depth=3, num_heads=4, num_kv_heads=2, ffn_width=48, latent_channels=3, text_width=10, rope_axes=(4, 6, 6)
)


@pytest.fixture
def dit() -> DiT:
    return stirred(CONFIG)


def conditions() -> list[Condition]:
    return [
        Condition(torch.randn(4, 10), ()),
        Condition(torch.randn(2, 10), (torch.randn(3, 2, 2),)),
        Condition(torch.randn(5, 10), (torch.randn(3, 2, 2), torch.randn(3, 1, 3))),
    ]


def test_samples_packed_together_do_not_see_each_other(dit: DiT) -> None:
    samples, targets, time = conditions(), [torch.randn(3, 2, 2), torch.randn(3, 2, 3), torch.randn(3, 1, 1)], torch.rand(3)
    together = dit(pack_clean(samples, latent_channels=3), pack_noisy(targets), time)
    alone = [
        dit(pack_clean([sample], latent_channels=3), pack_noisy([target]), time[i : i + 1])
        for i, (sample, target) in enumerate(zip(samples, targets, strict=True))
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_equal_sizes_take_a_shorter_way_to_the_same_result(dit: DiT) -> None:
    samples, time = conditions()[:2], torch.rand(2)
    targets = [torch.randn(3, 2, 2), torch.randn(3, 2, 2)]
    even = dit(pack_clean(samples, latent_channels=3), pack_noisy(targets), time)
    odd = dit(
        pack_clean([*samples, samples[0]], latent_channels=3),
        pack_noisy([*targets, torch.randn(3, 1, 1)]),
        torch.cat([time, time[:1]]),
    )
    torch.testing.assert_close(even, odd[:8], atol=1e-5, rtol=1e-4)


def test_what_is_remembered_does_not_depend_on_noise_or_time(dit: DiT) -> None:
    clean = pack_clean(conditions()[1:2], latent_channels=3)
    memory = dit.remember(clean)
    noisy = pack_noisy([torch.randn(3, 2, 2)])
    for time in (torch.tensor([0.1]), torch.tensor([0.9])):
        assert torch.equal(dit.velocity(noisy, time, memory), dit(clean, noisy, time))


def test_every_condition_changes_the_velocity(dit: DiT) -> None:
    sample, noisy, time = conditions()[2], pack_noisy([torch.randn(3, 2, 2)]), torch.tensor([0.5])
    base = dit(pack_clean([sample], latent_channels=3), noisy, time)
    swapped = Condition(sample.text, sample.references[::-1])
    for other in (Condition(torch.randn(5, 10), sample.references), Condition(sample.text, sample.references[:1]), swapped):
        assert not torch.allclose(base, dit(pack_clean([other], latent_channels=3), noisy, time), atol=1e-4)


PICTURES = (torch.randn(3, 2, 2), torch.randn(3, 1, 3), torch.randn(3, 2, 1))
"""Of a set."""


def test_targets_of_a_set_see_earlier_ones_and_no_later_one(dit: DiT) -> None:
    sample, time = conditions()[1], torch.tensor([0.2, 0.5, 0.9])
    indices = [target_index(number, 1) for number in range(3)]
    noisy = pack_noisy([torch.randn_like(picture) for picture in PICTURES], indices=indices)
    together = dit(pack_clean([sample._replace(earlier=PICTURES[:2])], latent_channels=3), noisy, time)
    parts = together.split([4, 3, 2])
    changed = dit(pack_clean([sample._replace(earlier=(PICTURES[0], -PICTURES[1]))], latent_channels=3), noisy, time)
    assert torch.equal(torch.cat(parts[:2]), changed[:7])
    assert not torch.allclose(parts[2], changed[7:], atol=1e-4)
    alone = dit(pack_clean([sample], latent_channels=3), pack_noisy([noisy.latents[:4].T.unflatten(1, (2, 2))]), time[:1])
    torch.testing.assert_close(parts[0], alone, atol=1e-5, rtol=1e-4)


def test_a_memory_that_goes_on_is_the_one_of_all_pictures_at_once(dit: DiT) -> None:
    samples, time = conditions()[:2], torch.tensor([0.3, 0.6])
    memory = dit.remember(pack_clean(samples, latent_channels=3))
    for number, pictures in enumerate([(PICTURES[0], PICTURES[1]), (PICTURES[2], PICTURES[0])]):
        indices = [target_index(number, len(sample.references)) for sample in samples]
        memory = dit.remember(pack_further(pictures, indices=indices, text_width=10), before=memory)
    noisy = pack_noisy([torch.randn(3, 2, 2), torch.randn(3, 1, 2)], indices=[2, 3])
    whole = [
        sample._replace(earlier=earlier)
        for sample, earlier in zip(samples, [(PICTURES[0], PICTURES[2]), (PICTURES[1], PICTURES[0])], strict=True)
    ]
    at_once = dit.remember(pack_clean(whole, latent_channels=3)).of(torch.tensor([2, 5]))
    torch.testing.assert_close(dit.velocity(noisy, time, memory), dit.velocity(noisy, time, at_once), atol=1e-5, rtol=1e-4)


def test_several_noises_share_what_is_remembered(dit: DiT) -> None:
    samples, time = conditions()[1:], torch.rand(4)
    noisy = pack_noisy([torch.randn(3, 2, 2) for _ in range(4)])
    memory = dit.remember(pack_clean(samples, latent_channels=3)).of(torch.tensor([0, 0, 1, 1]))
    copied = dit(pack_clean([samples[0], samples[0], samples[1], samples[1]], latent_channels=3), noisy, time)
    torch.testing.assert_close(dit.velocity(noisy, time, memory), copied, atol=1e-5, rtol=1e-4)


def test_labels_and_guidance_move_noisy_tokens_once_they_are_learnt() -> None:
    config = CONFIG.model_copy(update={"labels": ("edit", "flat"), "imitates_guidance": True})
    clean, noisy, time = pack_clean(conditions()[1:2], latent_channels=3), pack_noisy([torch.randn(3, 2, 2)]), torch.tensor([0.5])
    bare = Marks(torch.zeros(1, 2), torch.ones(1))
    for marks in (bare._replace(labels=torch.tensor([[0.0, 1.0]])), bare._replace(guidance=torch.tensor([4.0]))):
        fresh, learnt = DiT(config), stirred(config)
        torch.nn.init.normal_(fresh.latent_out.weight)
        found = [dit.velocity(noisy, time, dit.remember(clean), marks=each) for dit in (fresh, learnt) for each in (bare, marks)]
        assert torch.equal(found[0], found[1])
        assert not torch.allclose(found[2], found[3], atol=1e-4)
    unasked = stirred(CONFIG), Marks(torch.zeros(1, 0), torch.ones(1))
    for dit, marks in ((stirred(config), bare._replace(guidance=None)), unasked):
        with pytest.raises(ValueError, match="guidance is given, but imitates_guidance"):
            dit.velocity(noisy, time, dit.remember(clean), marks=marks)


def test_letters_of_a_sample_are_read_by_it_alone_and_say_how_words_are_spelt() -> None:
    dit = stirred(CONFIG.model_copy(update={"glyphs": GlyphConfig(width=16, depth=1, num_heads=2, ffn_width=16)}))
    samples = [sample._replace(letters=letters) for sample, letters in zip(conditions(), (b"OPEN", b"", b"no"), strict=True)]
    time = torch.rand(3)
    targets = [torch.randn(3, 2, 2), torch.randn(3, 1, 3), torch.randn(3, 1, 1)]
    clean = pack_clean(samples, latent_channels=3)
    assert clean.positions[4:8].tolist() == [[-1, place, place] for place in (4, 5, 6, 7)]
    together = dit(clean, pack_noisy(targets), time)
    alone = [
        dit(pack_clean([sample], latent_channels=3), pack_noisy([target]), time[i : i + 1])
        for i, (sample, target) in enumerate(zip(samples, targets, strict=True))
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)
    respelt = pack_clean([samples[0]._replace(letters=b"OPNE"), *samples[1:]], latent_channels=3)
    other = dit(respelt, pack_noisy(targets), time)
    assert not torch.allclose(together[:4], other[:4], atol=1e-4)
    torch.testing.assert_close(together[4:], other[4:], atol=1e-5, rtol=1e-4)


def test_references_may_be_packed_in_any_order_as_long_as_they_keep_their_indices(dit: DiT) -> None:
    sample, noisy, time = conditions()[2], pack_noisy([torch.randn(3, 2, 2)]), torch.tensor([0.5])
    clean = pack_clean([sample], latent_channels=3)
    turned = torch.tensor([*range(5), 9, 10, 11, 5, 6, 7, 8])        # the second reference before the first
    permuted = clean._replace(order=clean.order[turned], positions=clean.positions[turned])
    torch.testing.assert_close(dit(permuted, noisy, time), dit(clean, noisy, time), atol=1e-5, rtol=1e-4)


def test_tokens_keep_their_scale_at_birth_from_the_smallest_width_to_the_largest() -> None:
    scales = []
    for size in (micro, small, base, full):
        config = size(latent_channels=32, text_width=64).model_copy(update={"depth": 2, "ffn_width": 256})
        torch.manual_seed(0)
        dit, clean = DiT(config), pack_clean([Condition(torch.randn(3, 64), ())], latent_channels=32)
        _, watched = dit.velocity_and_watched(
            pack_noisy([torch.randn(32, 2, 2)]), torch.tensor([0.5]), dit.remember(clean), route=None, marks=None, after=2
        )
        scales.append(watched.tokens.detach().square().mean().sqrt())
    assert max(scales) / min(scales) < 1.5


def test_the_first_prediction_is_zero_velocity() -> None:
    sample, noisy = conditions()[1], pack_noisy([torch.randn(3, 2, 2)])
    assert not DiT(CONFIG)(pack_clean([sample], latent_channels=3), noisy, torch.tensor([0.5])).any()


def test_heads_that_do_not_divide_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="num_kv_heads=3 must divide num_heads=4"):
        DiT(CONFIG.model_copy(update={"num_kv_heads": 3}))


def test_block_matrices_are_all_matrices_of_the_blocks_and_nothing_else(dit: DiT) -> None:
    names = {name for name, parameter in dit.named_parameters() if any(parameter is each for each in dit.block_matrices())}
    assert len(names) == 5 * CONFIG.depth
    assert all(name.startswith("blocks.") for name in names)


@pytest.mark.parametrize(
    ("config", "millions"),
    [
        (micro(latent_channels=32, text_width=384), 4.06),
        (tiny(latent_channels=32, text_width=384), 5.76),
        (small(latent_channels=32, text_width=384), 16.3),
        (base(latent_channels=32, text_width=2560), 1_218),
        (full(latent_channels=32, text_width=7680), 5_640),
    ],
)
def test_sizes_have_the_parameters_they_promise(config: DiTConfig, millions: float) -> None:
    with torch.device("meta"):
        network = DiT(config)
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.005)
