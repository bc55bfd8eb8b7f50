"""The arithmetic of operations against torch's own counter."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.autoencoder import Autoencoder, AutoencoderConfig, f8, f32, slim
from models.cost import Cost, autoencoder_cost, transformer_cost
from models.dit import DiT
from models.routing import RoutingConfig, joined, kept_rows
from models.sequence import Condition, pack_clean, pack_noisy
from models.sizes import DiTConfig

CONFIG = DiTConfig(
    width=256, depth=6, num_heads=4, num_kv_heads=2, ffn_width=768, latent_channels=16, text_width=64, rope_axes=(16, 24, 24)
)
ROUTING = RoutingConfig(share=0.5, first=2, last=2, min_tokens=64)


def _of(cost: Cost, clean: int, noisy: int) -> float:
    return float(cost.of(np.array([clean]), np.array([noisy]))[0])


@pytest.mark.parametrize(("routing", "side"), [(None, 6), (ROUTING, 6), (None, 40)])
def test_operations_are_those_that_torch_counts(routing: RoutingConfig | None, side: int) -> None:
    with torch.device("meta"):                                       # the kernel of CPUs is not counted
        dit = DiT(CONFIG)
    clean = pack_clean([Condition(torch.randn(20, 64), (torch.randn(16, side, side),))], latent_channels=16)
    noisy = pack_noisy([torch.randn(16, 12, 12)])
    route = None
    if routing is not None:
        drawn = kept_rows(144, routing, generator=torch.Generator().manual_seed(0))
        route = joined([drawn], noisy.lengths, routing, depth=CONFIG.depth)
    meta = torch.device("meta")
    on_host = {"lengths": clean.lengths, "first": clean.first, "seen": clean.seen}  # they decide what is computed
    clean = clean.to(meta)._replace(**on_host)
    noisy = noisy.to(meta)._replace(lengths=noisy.lengths)
    route = None if route is None else route._replace(rows=route.rows.to(meta))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        dit.velocity(noisy, torch.empty(1, device=meta), dit.remember(clean), route=route)
    expected = _of(transformer_cost(CONFIG, routing=routing), 20 + side**2, 144)
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.01)


def test_more_draws_share_the_clean_pass() -> None:
    one, three = transformer_cost(CONFIG), transformer_cost(CONFIG, num_draws=3)
    assert _of(three, 56, 144) == pytest.approx(3 * _of(one, 56, 144) - 2 * _of(one, 56, 0))


def test_small_pictures_cost_as_much_with_routing_as_without() -> None:
    with_routing, without = transformer_cost(CONFIG, routing=ROUTING), transformer_cost(CONFIG)
    assert _of(with_routing, 10, 63) == _of(without, 10, 63)
    assert _of(with_routing, 10, 64) < _of(without, 10, 64)


@pytest.mark.parametrize("config", [f8(), f32(), slim(f32())])
def test_operations_of_an_autoencoder_are_those_that_torch_counts(config: AutoencoderConfig) -> None:
    with torch.device("meta"):
        autoencoder, picture = Autoencoder(config), torch.empty(1, 3, 256, 512)
    with FlopCounterMode(display=False) as encoding:
        latents = autoencoder.encode(picture)
    with FlopCounterMode(display=False) as decoding:
        autoencoder.decode(latents)
    cost = autoencoder_cost(config)
    assert encoding.get_total_flops() == pytest.approx(cost.encode * 256 * 512, rel=0.01)
    assert decoding.get_total_flops() == pytest.approx(cost.decode * 256 * 512, rel=0.01)
