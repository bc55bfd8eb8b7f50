"""Operations of one picture, trained on and drawn, at 1K, 2K and 4K: ours beside a dual-stream transformer on f8 latents.

Everything is counted: matrix products, attention and convolutions of transformer and autoencoder, by the arithmetic of
`models.cost`, which torch's counter confirms on networks without memory (the meta device). Both transformers have one width and
one depth, 256 words of text and as many steps. The first line of levers is what tokens, blocks and the light encoder give; each
line below adds one lever to those above it. No lever is free: what each costs in quality is not counted here.

* Training: one forward and backward pass of a picture and its text, encoded by the autoencoder once, as if nothing were stored
  (our jobs store latents, which saves ours 2 % and theirs 2 % at 2K). With several draws of noise a picture, the figures are for
  each draw: encoding is shared by ours and theirs, the pass over the text by ours alone.
* Drawing: 50 steps with guidance, two evaluations each, and one decoding.
"""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.autoencoder import Autoencoder, AutoencoderConfig, f32, slim
from models.cost import TRAINING_PASSES, Cost, autoencoder_cost, transformer_cost
from models.dit import DiT
from models.routing import RoutingConfig
from models.sequence import CleanTokens, Condition, NoisyTokens, pack_clean, pack_noisy
from models.sizes import DiTConfig, full
from pipelines.bench import kl_autoencoder as theirs
from pipelines.bench.mmdit import MMDiT, MMDiTShape, step_flops
from pipelines.bench.result import Measured

SIZES_PX = {"1k": 1024, "2k": 2048, "4k": 4096}
WORDS, TEXT_WIDTH = 256, 2560
NUM_STEPS, FEW_STEPS, DRAWS = 50, 8, 3
CLOSE = 0.01
"""By which arithmetic and counter may differ."""

Tokens = TypeVar("Tokens", CleanTokens, NoisyTokens)

OURS = full(latent_channels=32, text_width=TEXT_WIDTH)
SPACE = f32(latent_channels=32)
THEIRS = MMDiTShape(OURS.width, OURS.depth, OURS.num_heads, latent_channels=16, text_width=TEXT_WIDTH)
THEIR_TOKEN_PX = 2 * theirs.FACTOR


def run(*, is_quick: bool) -> Measured:
    """Operations of both, ratios with every lever, and whether counter and arithmetic agree, at 2K, or at 1K when quick."""
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in DiT(OURS).parameters())
    ours: dict[str, float] = {"parameters": parameters}
    before: dict[str, float] = {}
    for name, side in SIZES_PX.items():
        ours |= {f"train_{name}": _train(side), f"generate_{name}": _generate(side)}
        before |= {f"train_{name}": _their_training(side), f"generate_{name}": _their_generation(side)}
    ratios = {f"{key}_tokens": before[key] / ours[key] for key in before} | _training_levers() | _drawing_levers()
    counted = _counted(SIZES_PX["1k"] if is_quick else SIZES_PX["2k"])
    return Measured(
        ours=ours, peers={"dual stream, f8, squares of 2 x 2": before}, ratios=ratios,
        checks={
            **{f"{name}: the counter agrees within 1 %": abs(share - 1) <= CLOSE for name, share in counted.items()},
            "tokens, blocks and encoder: 5.5 times fewer at 2K": _least(ratios, "2k") >= 5.5,
            "tokens, blocks and encoder: 9 times fewer at 4K": _least(ratios, "4k") >= 9,
            "all levers: 10 times fewer to train at 2K": ratios["train_2k_all"] >= 10,
            "all levers: 10 times fewer to draw at 2K": ratios["generate_2k_all"] >= 10,
        },
    )  # fmt: skip


def _least(ratios: Mapping[str, float], size: str) -> float:
    """The smaller gain of training and drawing, before any lever."""
    return min(ratios[f"{work}_{size}_tokens"] for work in ("train", "generate"))


def _training_levers() -> dict[str, float]:
    """Ratios of a step at 2K as one lever after the other is added."""
    side, routing = SIZES_PX["2k"], RoutingConfig()
    every = _their_training(side, draws=DRAWS) / _train(side, routing=routing, draws=DRAWS)
    return {
        "train_2k + token routing": _their_training(side) / _train(side, routing=routing),
        f"train_2k + {DRAWS} draws of noise share the text": every, "train_2k_all": every,
    }  # fmt: skip


def _drawing_levers() -> dict[str, float]:
    """Ratios of a picture of 2K as one lever after the other is added."""
    side, thin = SIZES_PX["2k"], slim(SPACE)
    before = _their_generation(side)
    every = before / _generate(side, space=thin, evaluations=1, num_steps=FEW_STEPS)
    return {
        "generate_2k + slim decoder": before / _generate(side, space=thin),
        "generate_2k + guidance distilled away": before / _generate(side, space=thin, evaluations=1),
        f"generate_2k + {FEW_STEPS} steps": every, "generate_2k_all": every,
    }  # fmt: skip


def _of(cost: Cost, tokens: int) -> float:
    return float(cost.of(np.array([WORDS]), np.array([tokens]))[0])


def _tokens(side: int) -> int:
    return (side // SPACE.factor) ** 2


def _train(side: int, *, routing: RoutingConfig | None = None, draws: int = 1) -> float:
    """A picture's part of a step, for each draw of noise."""
    step = _of(transformer_cost(OURS, routing=routing, num_draws=draws), _tokens(side))
    return (TRAINING_PASSES * step + autoencoder_cost(SPACE).encode * side**2) / draws


def _generate(side: int, *, space: AutoencoderConfig = SPACE, evaluations: int = 2, num_steps: int = NUM_STEPS) -> float:
    """The text is run once; with guidance, an empty one beside it."""
    cost = transformer_cost(OURS)
    both, text = _of(cost, _tokens(side)), _of(cost, 0)
    return evaluations * (text + num_steps * (both - text)) + autoencoder_cost(space).decode * side**2


def _their_step(side: int) -> float:
    return step_flops(THEIRS, words=WORDS, tokens=(side // THEIR_TOKEN_PX) ** 2)


def _their_training(side: int, *, draws: int = 1) -> float:
    encode, _ = theirs.flops_per_pixel(THEIRS.latent_channels)
    return TRAINING_PASSES * _their_step(side) + encode * side**2 / draws


def _their_generation(side: int) -> float:
    _, decode = theirs.flops_per_pixel(THEIRS.latent_channels)
    return 2 * NUM_STEPS * _their_step(side) + decode * side**2


def _counted(side: int) -> dict[str, float]:
    """What torch counts as a share of the arithmetic, by network."""
    pixels = side**2
    return {
        "our transformer": _count_transformer(OURS, side) / _of(transformer_cost(OURS), _tokens(side)),
        "their transformer": _count_their_transformer(side) / _their_step(side),
        "our autoencoder": _count_autoencoder(side) / (sum(autoencoder_cost(SPACE)) * pixels),
        "their autoencoder": _count_their_autoencoder(side) / (sum(theirs.flops_per_pixel(THEIRS.latent_channels)) * pixels),
    }


def _count_transformer(config: DiTConfig, side: int) -> int:
    with torch.device("meta"):
        dit = DiT(config)
    cells = side // SPACE.factor
    clean = pack_clean([Condition(torch.zeros(WORDS, TEXT_WIDTH), ())], latent_channels=config.latent_channels)
    noisy = pack_noisy([torch.zeros(config.latent_channels, cells, cells)])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        dit(_on_meta(clean), _on_meta(noisy), torch.empty(1, device="meta"))
    return counter.get_total_flops()


def _on_meta(tokens: Tokens) -> Tokens:
    """All but what decides about what is computed."""
    on_host = {name: getattr(tokens, name) for name in ("lengths", "first", "seen") if name in tokens._fields}
    return tokens.to(torch.device("meta"))._replace(**on_host)


def _count_their_transformer(side: int) -> int:
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        tokens = (side // THEIR_TOKEN_PX) ** 2
        latents = torch.empty(1, tokens, 4 * THEIRS.latent_channels)
        MMDiT(THEIRS)(torch.empty(1, WORDS, TEXT_WIDTH), latents, torch.empty(1, THEIRS.width))
    return counter.get_total_flops()


def _count_autoencoder(side: int) -> int:
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        autoencoder = Autoencoder(SPACE)
        autoencoder.decode(autoencoder.encode(torch.empty(1, 3, side, side)))
    return counter.get_total_flops()


def _count_their_autoencoder(side: int) -> int:
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        theirs.KLAutoencoder(THEIRS.latent_channels)(torch.empty(1, 3, side, side))
    return counter.get_total_flops()
