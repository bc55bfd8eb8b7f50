"""Floating-point operations of the transformer, by arithmetic: what slots are balanced by and what utilisation is a share of.

Counted are matrix products, two operations a multiply-add; norms, rotations and gates are left out (below 2 % from width 256 on).
Attention counts the pairs that attend: clean tokens see clean ones, noisy tokens see their whole sample. A backward pass takes
twice its forward pass (Kaplan et al. 2020, arXiv:2001.08361, section 2.1).

n samples
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from models.sizes import DiTConfig

TRAINING_PASSES = 3
"""Forward passes that one forward and backward pass cost."""


class Cost(NamedTuple):
    """Forward operations of a sample as a polynomial of its tokens."""

    per_clean_token: float
    per_noisy_token: float
    per_pair: float
    """One query looking at one key, over all heads and blocks."""
    num_draws: int = 1
    """Noise draws that share one clean pass."""

    def of(self, clean_tokens: Int[np.ndarray, "*n"], noisy_tokens: Int[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Forward operations of every sample."""
        clean, noisy = np.asarray(clean_tokens, dtype=np.float64), np.asarray(noisy_tokens, dtype=np.float64)
        pairs = clean * clean + self.num_draws * noisy * (clean + noisy)
        return self.per_clean_token * clean + self.per_noisy_token * self.num_draws * noisy + self.per_pair * pairs


def transformer_cost(config: DiTConfig, *, num_draws: int = 1) -> Cost:
    """Cost of a transformer of this shape. The clean pass stops at the keys and values of the last block."""
    inner, offered = config.num_heads * config.head_width, 2 * config.num_kv_heads * config.head_width
    block = config.width * (2 * inner + offered) + inner * config.width + 3 * config.width * config.ffn_width
    ends = config.width * config.latent_channels
    clean = (config.depth - 1) * block + config.width * offered + config.width * config.text_width
    return Cost(
        per_clean_token=2.0 * clean, per_noisy_token=2.0 * (config.depth * block + 2 * ends),
        per_pair=4.0 * inner * config.depth, num_draws=num_draws,
    )  # fmt: skip


PER_SAMPLE = Cost(per_clean_token=0.0, per_noisy_token=1.0, per_pair=0.0)
"""Every unit costs alike: for objectives whose samples are all of one size."""
