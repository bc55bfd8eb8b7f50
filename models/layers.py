"""Small layers of the transformer: normalisation, rotary positions, feed-forward, time embedding.

n tokens · d width · h heads · e head width (half: its pairs) · s samples
"""

import math
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional


class SwiGLU(nn.Module):
    """Gated feed-forward: down(silu(gate(x)) * up(x)) (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(functional.silu(gate) * up)


class PartwiseRMSNorm(nn.Module):
    """RMSNorm of each of several parts of equal width by itself, with a scale for every channel."""

    def __init__(self, width: int, num_parts: int) -> None:
        super().__init__()
        if width % num_parts:
            raise ValueError(f"width={width} must be a multiple of its {num_parts} parts")
        self.num_parts = num_parts
        self.weight = nn.Parameter(torch.empty(width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scales of 1."""
        nn.init.ones_(self.weight)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        parts = rearrange(x, "n (parts k) -> n parts k", parts=self.num_parts)
        return functional.rms_norm(parts, parts.shape[-1:], eps=1e-6).flatten(1) * self.weight


class TimeEmbedding(nn.Module):
    """Sinusoids of t times 1000 through a two-layer perceptron (Peebles & Xie 2022, arXiv:2212.09748)."""

    def __init__(self, width: int, num_frequencies: int = 128) -> None:
        super().__init__()
        self.num_frequencies = num_frequencies
        self.perceptron = nn.Sequential(nn.Linear(2 * num_frequencies, width), nn.SiLU(), nn.Linear(width, width))

    @torch.no_grad()
    def mute(self) -> None:
        """Give zeros whatever the number, until trained."""
        last = self.perceptron[2]
        assert isinstance(last, nn.Linear)
        last.weight.zero_()
        last.bias.zero_()

    def forward(self, time: Float[Tensor, " s"]) -> Float[Tensor, "s d"]:
        exponents = torch.arange(self.num_frequencies, device=time.device) / self.num_frequencies
        angles = 1000.0 * time.float()[:, None] * torch.exp(-math.log(10_000.0) * exponents)[None]
        return self.perceptron(torch.cat([angles.cos(), angles.sin()], dim=1))


def rotations(positions: Int[Tensor, "n 3"], *, axis_widths: tuple[int, int, int], theta: float) -> Float[Tensor, "n half 2"]:
    """Cosines and sines of the three-axis rotary embedding, in fp32: bf16 cannot tell integers above 256 apart.

    Each axis turns its own share of the head width (Su et al. 2021, arXiv:2104.09864; image axis after FLUX.1 Kontext).
    """
    angles = []
    for axis, width in enumerate(axis_widths):
        frequencies = theta ** (-torch.arange(0, width, 2, device=positions.device).float() / width)
        angles.append(positions[:, axis].float()[:, None] * frequencies[None])
    angle = torch.cat(angles, dim=1)  # n e/2
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def rotate(x: Float[Tensor, "n h e"], rotation: Float[Tensor, "n half 2"]) -> Float[Tensor, "n h e"]:
    """Turn neighbouring pairs of channels by the positions' angles, in fp32.

    Products of complex numbers take the fewest passes over memory. The compiler of torch 2.13 has no code for them, but makes one
    pass of products of real ones.
    """
    pairs, turn = rearrange(x.float(), "n h (p two) -> n h p two", two=2), rotation[:, None]
    if torch.compiler.is_compiling():
        (a, b), (cos, sin) = pairs.unbind(-1), turn.unbind(-1)
        return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)
    return torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turn)).flatten(-2)


class Spread(NamedTuple):
    """Which sample each packed token belongs to."""

    num_samples: int
    each: int | None
    """Tokens of every sample when they are equally many: then values broadcast instead of being copied to every token."""
    sample: Int[Tensor, " n"]


def spread(lengths: Int[Tensor, " s"], rows: slice) -> Spread:
    """The spread of a run of tokens, of samples packed one behind the other."""
    sample = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    is_even = len(sample[rows]) == len(sample) and bool((lengths == lengths[0]).all())
    return Spread(len(lengths), int(lengths[0]) if is_even else None, sample[rows])


def scaled(x: Float[Tensor, "n d"], factor: Float[Tensor, "s d"], to: Spread) -> Float[Tensor, "n d"]:
    """Every token times its sample's factor."""
    if to.each is None:
        return x * factor.index_select(0, to.sample)
    return (x.view(to.num_samples, to.each, x.shape[1]) * factor[:, None]).flatten(0, 1)


def shifted(x: Float[Tensor, "n d"], offset: Float[Tensor, "s d"], to: Spread) -> Float[Tensor, "n d"]:
    """Every token plus its sample's offset."""
    if to.each is None:
        return x + offset.index_select(0, to.sample)
    return (x.view(to.num_samples, to.each, x.shape[1]) + offset[:, None]).flatten(0, 1)
