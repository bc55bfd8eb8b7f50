"""A dual-stream transformer as the generation before was built, as far as its operations go: what `flops` compares with.

Stable Diffusion 3 (Esser et al. 2024, arXiv:2403.03206, figure 2): text and picture have weights of their own in every block and
attend together; feed-forwards are four widths wide; every block has projections of the time; latents of an f8 autoencoder are
cut into squares of 2 x 2. All tokens, text too, take every step.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class MMDiTShape(NamedTuple):
    """Shape of the transformer."""

    width: int
    depth: int
    num_heads: int
    latent_channels: int
    """Channels of the latents; a token holds those of 2 x 2."""
    text_width: int


class MMDiT(nn.Module):
    """One step for one picture."""

    def __init__(self, shape: MMDiTShape) -> None:
        super().__init__()
        self.text_in = nn.Linear(shape.text_width, shape.width)
        self.latent_in = nn.Linear(4 * shape.latent_channels, shape.width)
        self.blocks = nn.ModuleList(_Block(shape) for _ in range(shape.depth))
        self.latent_out = nn.Linear(shape.width, 4 * shape.latent_channels)

    def forward(self, text: Tensor, latents: Tensor, time: Tensor) -> Tensor:
        """Velocity [1, tokens, 4 * channels] from text states [1, words, width], latents and the time's embedding [1, width]."""
        words, picture = self.text_in(text), self.latent_in(latents)
        for block in self.blocks:
            words, picture = block(words, picture, time)
        return self.latent_out(picture)


class _Stream(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(width, 6 * width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.ffn = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, seen: Tensor, time: Tensor) -> Tensor:
        x = x + self.modulation(time)[:, None, : x.shape[-1]] * self.out(seen)
        return x + self.ffn(x)


class _Block(nn.Module):
    def __init__(self, shape: MMDiTShape) -> None:
        super().__init__()
        self.heads, self.words, self.picture = shape.num_heads, _Stream(shape.width), _Stream(shape.width)

    def forward(self, words: Tensor, picture: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        offered = torch.cat([self.words.query_key_value(words), self.picture.query_key_value(picture)], 1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in offered.chunk(3, -1))
        seen = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        by_words, by_picture = seen.split([words.shape[1], picture.shape[1]], 1)
        return self.words(words, by_words, time), self.picture(picture, by_picture, time)


def step_flops(shape: MMDiTShape, *, words: int, tokens: int) -> float:
    """Operations of one forward pass, by arithmetic."""
    width, both = shape.width, words + tokens
    block = 24.0 * both * width**2 + 4.0 * both**2 * width + 24.0 * width**2
    ends = 2.0 * width * (words * shape.text_width + 2 * tokens * 4 * shape.latent_channels)
    return shape.depth * block + ends
