"""Tokens that go past the blocks in the middle."""

import pytest
import torch
from tiny_dit import stirred

from models.dit import DiT
from models.routing import Route, RoutingConfig, joined, kept_rows, require_blocks
from models.sequence import Condition, pack_clean, pack_noisy
from models.sizes import DiTConfig

CONFIG = DiTConfig(
    width=32, depth=5, num_heads=4, num_kv_heads=2, ffn_width=48, latent_channels=3, text_width=10, rope_axes=(4, 6, 6)
)
ROUTING = RoutingConfig(share=0.5, first=1, last=1, min_tokens=6)
MIDDLE = range(1, 4)


@pytest.fixture
def dit() -> DiT:
    return stirred(CONFIG)


def packs(*sizes: tuple[int, int]):
    conditions = [Condition(torch.randn(3, 10), (torch.randn(3, 2, 2),)) for _ in sizes]
    return pack_clean(conditions, latent_channels=3), pack_noisy([torch.randn(3, *size) for size in sizes])


def route_of(*lengths: int, seed: int = 0) -> Route:
    generator = torch.Generator().manual_seed(seed)
    drawn = [kept_rows(num, ROUTING, generator=generator) for num in lengths]
    route = joined(drawn, torch.tensor(lengths), ROUTING, depth=CONFIG.depth)
    assert route is not None
    return route


def test_half_of_a_large_picture_takes_every_block_and_all_of_a_small_one() -> None:
    route = route_of(8, 4, 7)
    assert route.lengths.tolist() == [4, 4, 4]                       # of seven, three go past
    assert route.rows[4:8].tolist() == [8, 9, 10, 11]
    assert (route.first, route.end) == (1, 4)
    assert torch.equal(route.rows, route.rows.sort().values)
    assert joined([torch.arange(4)], torch.tensor([4]), ROUTING, depth=5) is None


def test_other_tokens_go_past_at_every_draw_and_a_seed_repeats_them() -> None:
    assert torch.equal(route_of(64, seed=1).rows, route_of(64, seed=1).rows)
    assert not torch.equal(route_of(64, seed=1).rows, route_of(64, seed=2).rows)


def test_tokens_that_go_past_leave_the_middle_as_they_came(dit: DiT) -> None:
    """Blocks in the middle are spied on, and the last one, which meets all tokens again."""
    clean, noisy = packs((3, 3))
    route, given, left = Route(1, 4, torch.tensor([4, 7]), torch.tensor([2])), [], []
    dit.blocks[0].register_forward_hook(lambda _, __, found: left.append(found[0]))
    dit.blocks[4].register_forward_pre_hook(lambda _, shown: given.append(shown[0]))
    sizes: list[int] = []
    for number in MIDDLE:
        dit.blocks[number].register_forward_pre_hook(lambda _, shown: sizes.append(len(shown[0])))
    dit.velocity(noisy, torch.tensor([0.3]), dit.remember(clean), route=route)
    assert sizes[3:] == [2, 2, 2]                                    # the first three are of the clean pass
    before, after = left[-1], given[-1]
    past = torch.tensor([0, 1, 2, 3, 5, 6, 8])
    assert torch.equal(after[past], before[past])
    assert not torch.isclose(after[route.rows], before[route.rows]).all(dim=1).any()


def test_a_route_of_all_tokens_changes_nothing(dit: DiT) -> None:
    clean, noisy = packs((2, 4), (3, 3))
    time = torch.tensor([0.2, 0.9])
    everyone = Route(1, 4, torch.arange(17), noisy.lengths)
    torch.testing.assert_close(dit.velocity(noisy, time, dit.remember(clean), route=everyone), dit(clean, noisy, time))


def test_routed_samples_packed_together_do_not_see_each_other(dit: DiT) -> None:
    sizes, time, generator = ((2, 4), (3, 3)), torch.tensor([0.2, 0.9]), torch.Generator().manual_seed(3)
    conditions = [Condition(torch.randn(3, 10), (torch.randn(3, 2, 2),)) for _ in sizes]
    targets = [torch.randn(3, *size) for size in sizes]
    drawn = [kept_rows(8, ROUTING, generator=generator), kept_rows(9, ROUTING, generator=generator)]
    route = joined(drawn, torch.tensor([8, 9]), ROUTING, depth=CONFIG.depth)
    memory = dit.remember(pack_clean(conditions, latent_channels=3))
    together = dit.velocity(pack_noisy(targets), time, memory, route=route)
    alone = [
        dit.velocity(
            pack_noisy([targets[i]]), time[i : i + 1], dit.remember(pack_clean([conditions[i]], latent_channels=3)),
            route=joined([drawn[i]], torch.tensor([num_tokens]), ROUTING, depth=CONFIG.depth),
        )
        for i, num_tokens in enumerate((8, 9))
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_gradients_reach_all_tokens(dit: DiT) -> None:
    clean, noisy = packs((3, 3))
    latents = noisy.latents.requires_grad_()
    velocity = dit.velocity(noisy._replace(latents=latents), torch.tensor([0.5]), dit.remember(clean), route=route_of(9))
    velocity.square().sum().backward()
    assert latents.grad is not None
    assert (latents.grad.abs().sum(1) > 0).all()


def test_a_transformer_without_blocks_in_the_middle_is_refused() -> None:
    with pytest.raises(ValueError, match=r"leave no block of the 4 to go past"):
        require_blocks(RoutingConfig(first=2, last=2), depth=4)
    require_blocks(RoutingConfig(first=2, last=2), depth=5)
