"""Transformer blocks that read packed texts in both directions: what the small encoders trained here are made of.

Texts of any lengths lie one behind the other without padding, and every token sees its own text and no other. The parts are the
diffusion transformer's: pre-RMSNorm, RMSNorm of queries and keys, rotary positions, SwiGLU.

n tokens of all texts · d width · h heads · e head width · s texts
"""

from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from models.attention import Layout, attend, backend_for, layout, within
from models.layers import SwiGLU, rotate, rotations

_THETA = 100.0
"""Base of the rotary frequencies: texts have tens of tokens."""


class Reading(NamedTuple):
    """Where every token stands in its text, and which tokens it sees."""

    rotation: Float[Tensor, "n half 2"]
    seen: Layout


def reading(lengths: Int[Tensor, " s"], *, head_width: int, like: Float[Tensor, "n d"]) -> Reading:
    """For texts of these lengths, each at least 1, on the device and for the precision of `like`."""
    starts = torch.repeat_interleave(torch.cumsum(lengths, 0) - lengths, lengths)
    places = torch.arange(len(starts), device=starts.device) - starts
    positions = torch.stack([places, torch.zeros_like(places), torch.zeros_like(places)], dim=1).to(like.device)
    dtype = torch.get_autocast_dtype(like.device.type) if torch.is_autocast_enabled(like.device.type) else like.dtype
    return Reading(
        rotations(positions, axis_widths=(head_width, 0, 0), theta=_THETA),
        layout(within(lengths), backend_for(like.device, dtype), like.device),
    )


class TextBlock(nn.Module):
    """Attention within every text and a feed-forward."""

    def __init__(self, width: int, *, num_heads: int, ffn_width: int) -> None:
        super().__init__()
        if width % (2 * num_heads):
            raise ValueError(f"num_heads={num_heads} must divide width={width} into even parts: channels are turned in pairs")
        self.num_heads = num_heads
        self.norm_attention = nn.RMSNorm(width, elementwise_affine=False, eps=1e-6)
        self.norm_ffn = nn.RMSNorm(width, elementwise_affine=False, eps=1e-6)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.norm_query = nn.RMSNorm(width // num_heads, eps=1e-6)
        self.norm_key = nn.RMSNorm(width // num_heads, eps=1e-6)
        self.out = nn.Linear(width, width, bias=False)
        self.ffn = SwiGLU(width, ffn_width)

    def forward(self, x: Float[Tensor, "n d"], place: Reading) -> Float[Tensor, "n d"]:
        read = rearrange(self.query_key_value(self.norm_attention(x)), "n (three h e) -> three n h e", three=3, h=self.num_heads)
        query, key = (
            rotate(norm(each.float()), place.rotation).to(read.dtype)
            for norm, each in ((self.norm_query, read[0]), (self.norm_key, read[1]))
        )
        x = x + self.out(rearrange(attend(query, key, read[2], place.seen), "n h e -> n (h e)"))
        return x + self.ffn(self.norm_ffn(x))
