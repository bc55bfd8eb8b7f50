"""Floating-point operations of the networks, by arithmetic: what slots are balanced by and what utilisation is a share of.

Counted are matrix products, two operations a multiply-add; norms, rotations and gates are left out (below 2 % from width 256 on).
Attention counts the pairs that attend: clean tokens see clean ones, noisy tokens see their whole sample. Tokens that are routed
past blocks cost nothing there. A backward pass takes twice its forward pass (Kaplan et al. 2020, arXiv:2001.08361, section 2.1).

n samples
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from models.autoencoder import AutoencoderConfig
from models.routing import RoutingConfig
from models.sizes import DiTConfig

TRAINING_PASSES = 3
"""Forward passes that one forward and backward pass cost."""


class Routed(NamedTuple):
    """What routing leaves out of the forward operations of a sample."""

    config: RoutingConfig
    per_token: float
    """Of a token that goes past the blocks in the middle."""
    per_pair: float
    """Of one query that looks at one key, over all heads and those blocks."""


class Cost(NamedTuple):
    """Forward operations of a sample as a polynomial of its tokens."""

    per_clean_token: float
    per_noisy_token: float
    per_pair: float
    """One noisy query looking at one key, over all heads and blocks."""
    per_clean_pair: float = 0.0
    """One clean query looking at one clean key."""
    num_draws: int = 1
    """Noise draws that share one clean pass."""
    routed: Routed | None = None
    """In training, where tokens go past blocks."""

    def of(self, clean_tokens: Int[np.ndarray, "*n"], noisy_tokens: Int[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Forward operations of every sample."""
        clean, noisy = np.asarray(clean_tokens, dtype=np.float64), np.asarray(noisy_tokens, dtype=np.float64)
        alone = self.per_clean_token * clean + self.per_clean_pair * clean * clean
        whole = alone + self.num_draws * (self.per_noisy_token * noisy + self.per_pair * noisy * (clean + noisy))
        return whole if self.routed is None else whole - self.num_draws * _left_out(self.routed, clean, noisy)


def _left_out(routed: Routed, clean: Float[np.ndarray, "*n"], noisy: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    past = routed.config.past(noisy)
    kept = noisy - past
    return routed.per_token * past + routed.per_pair * (noisy * (clean + noisy) - kept * (clean + kept))


def transformer_cost(config: DiTConfig, *, num_draws: int = 1, routing: RoutingConfig | None = None) -> Cost:
    """Cost of a transformer of this shape. The clean pass stops at the keys and values of the last block."""
    inner, offered = config.num_heads * config.head_width, 2 * config.num_kv_heads * config.head_width
    block = config.width * (2 * inner + offered) + inner * config.width + 3 * config.width * config.ffn_width
    ends = config.width * config.latent_channels
    clean = (config.depth - 1) * block + config.width * offered + config.width * config.text_width
    middle = 0 if routing is None else config.depth - routing.first - routing.last
    return Cost(
        per_clean_token=2.0 * clean, per_noisy_token=2.0 * (config.depth * block + 2 * ends),
        per_pair=4.0 * inner * config.depth, per_clean_pair=4.0 * inner * (config.depth - 1), num_draws=num_draws,
        routed=None if routing is None else Routed(routing, 2.0 * middle * block, 4.0 * inner * middle),
    )  # fmt: skip


PER_SAMPLE = Cost(per_clean_token=0.0, per_noisy_token=1.0, per_pair=0.0)
"""Every unit costs alike: for objectives whose samples are all of one size."""


_KERNEL = 9
"""Cells of a 3 x 3 kernel."""


class AutoencoderCost(NamedTuple):
    """Forward operations for every pixel of a picture."""

    encode: float
    decode: float


def autoencoder_cost(config: AutoencoderConfig) -> AutoencoderCost:
    """Cost of an autoencoder of this shape: its convolutions."""
    drawing, latent, cell = config.drawing, config.latent_channels, config.factor**-2
    straight = 3 * latent                                            # the linear path beside encoder and decoder
    encode = 3 * _KERNEL * config.widths[0] + _inside(config, config.widths, config.encoder_blocks)
    decode = 3 * _KERNEL * drawing[0] + _inside(config, drawing, config.decoder_blocks)
    retouch = _KERNEL * config.retouch_width * (6 + config.retouch_width)
    return AutoencoderCost(
        encode=2.0 * (straight + encode + cell * config.widths[-1] * latent),
        decode=2.0 * (straight + decode + cell * _KERNEL * drawing[-1] * latent + retouch),
    )


def _inside(config: AutoencoderConfig, widths: Sequence[int], num_blocks: Sequence[int]) -> float:
    """Multiply-adds a pixel of the residual blocks and of the halving, or doubling, between resolutions."""
    cells = [(config.patch * 2**level) ** -2 for level in range(len(widths))]
    blocks = sum(cell * num * 2 * _KERNEL * width**2 for cell, num, width in zip(cells, num_blocks, widths, strict=True))
    return blocks + sum(cell * 4 * fine * coarse for cell, (fine, coarse) in zip(cells[1:], pairwise(widths), strict=True))
