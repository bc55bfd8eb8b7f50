"""Attention between packed sequences of unequal lengths, without a mask in sight of the caller.

The causal diffusion mask (clean tokens see clean tokens, noisy tokens see their whole sample) equals two calls of one
variable-length attention: clean -> clean and noisy -> clean + noisy. Each call knows, for queries and for keys, how many
tokens every sample has. There is no variable-length kernel for CPUs in torch 2.13 (and no backward of FlexAttention), so
tokens are gathered into a rectangle, padded to the longest sample, attended with a key mask, and scattered back; the
linear layers around it never see padding. The index tensors are computed once a pack and shared by all blocks.

s samples · n query tokens · m key tokens · q, k longest query and key sequence · h heads · g key-value heads · e head width
"""

from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional


class Rectangle(NamedTuple):
    """Where packed tokens sit in a [samples, longest] rectangle, and back."""

    gather: Int[Tensor, "s k"]
    """Packed row of every cell; padding cells repeat a valid row."""
    scatter: Int[Tensor, " n"]
    """Cell (flattened) of every packed row."""
    is_real: Bool[Tensor, "s k"]
    """False in padding."""


def rectangle(lengths: Int[Tensor, " s"]) -> Rectangle:
    """The rectangle of sequences packed one behind the other."""
    longest = int(lengths.max())
    starts = torch.cumsum(lengths, 0) - lengths
    cell = torch.arange(longest, device=lengths.device)
    is_real = cell[None] < lengths[:, None]
    gather = starts[:, None] + torch.minimum(cell[None], lengths[:, None] - 1)
    return Rectangle(gather, is_real.flatten().nonzero()[:, 0], is_real)


def joined_rectangle(first: Int[Tensor, " s"], second: Int[Tensor, " s"]) -> Rectangle:
    """The rectangle of samples whose tokens lie in two packs concatenated as ``cat(first pack, second pack)``."""
    whole = rectangle(first + second)
    first_starts, second_starts = torch.cumsum(first, 0) - first, torch.cumsum(second, 0) - second + first.sum()
    cell = torch.minimum(torch.arange(whole.gather.shape[1], device=first.device)[None], (first + second)[:, None] - 1)
    in_first = cell < first[:, None]
    gather = torch.where(in_first, first_starts[:, None] + cell, second_starts[:, None] + cell - first[:, None])
    return whole._replace(gather=gather)


def attend(
    queries: Float[Tensor, "n h e"],
    keys: Float[Tensor, "m g e"],
    values: Float[Tensor, "m g e"],
    *,
    query_rectangle: Rectangle,
    key_rectangle: Rectangle,
) -> Float[Tensor, "n h e"]:
    """Softmax attention inside every sample; grouped queries (Ainslie et al. 2023) when there are fewer key-value heads."""
    q = _padded(queries, query_rectangle)  # s h q e
    k = _padded(keys, key_rectangle)  # s g k e
    v = _padded(values, key_rectangle)
    mask = None if bool(key_rectangle.is_real.all()) else key_rectangle.is_real[:, None, None]
    cells = rearrange(_attended(q, k, v, mask), "s h q e -> (s q) h e")
    return cells.index_select(0, query_rectangle.scatter)


def _attended(
    q: Float[Tensor, "s h q e"], k: Float[Tensor, "s g k e"], v: Float[Tensor, "s g k e"], mask: Bool[Tensor, "s 1 1 k"] | None
) -> Float[Tensor, "s h q e"]:
    """In fp32 on a CPU: the backward pass of torch 2.13's kernel takes 2.5 times as long in bf16 as in fp32 there."""
    is_grouped = q.shape[1] != k.shape[1]
    if q.device.type != "cpu":
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=is_grouped)
    with torch.autocast("cpu", enabled=False):
        found = functional.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=mask, enable_gqa=is_grouped)
    return found.to(v.dtype)


def _padded(tokens: Float[Tensor, "n h e"], place: Rectangle) -> Float[Tensor, "s h k e"]:
    cells = tokens.index_select(0, place.gather.flatten())
    return rearrange(cells, "(s k) h e -> s h k e", s=place.gather.shape[0])
