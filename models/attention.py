"""Attention between packed sequences of unequal lengths, without a mask in sight of the caller.

The causal diffusion mask (clean tokens see clean tokens, noisy tokens see their whole sample) equals two calls of one
variable-length attention: clean -> clean and noisy -> clean + noisy. Queries come in groups; each call knows how many queries a
group has and which run of clean tokens it sees. Groups may see the same run, or a part of another's: so several noises of one
picture share its conditions, and the pictures of a set see those before them. What that means for a way to compute it is worked
out once a pack, in a layout, and shared by all blocks.

Three ways, one result; `backend_for` picks:

* ``varlen``: FlashAttention's kernel for packed sequences (Dao 2023, arXiv:2307.08691). CUDA, half precision.
* ``flex``: FlexAttention with a mask of groups (Dong et al. 2024, arXiv:2412.05496). CUDA; on a CPU forward only.
* ``sdpa``: torch's attention on rectangles, everywhere. Tokens are gathered into rectangles of groups that are about equally
  long, attended, and scattered back; the linear layers around it never see padding. One rectangle padded to the longest
  group would do more work on padding than on tokens.

s groups · n query tokens · m key tokens · q, k longest query and key sequence · h heads · g key-value heads · e head width
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch._compile import _disable_dynamo  # torch.compiler.disable imports the compiler, 3.6 s a process
from torch.autograd.function import FunctionCtx
from torch.nn import functional

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

Backend = Literal["varlen", "flex", "sdpa"]


class Lengths(NamedTuple):
    """Queries of every group, and its keys, which lie in two packs, ``cat(first pack, second pack)``."""

    queries: Int[Tensor, " s"]
    first_starts: Int[Tensor, " s"]
    """Where in the first pack the run of keys begins that a group sees."""
    first_keys: Int[Tensor, " s"]
    second_keys: Int[Tensor, " s"]
    """Keys of the group's own in the second pack, group after group."""
    first_rows: int
    """Keys in the first pack."""

    def to(self, device: torch.device | str) -> "Lengths":
        """The same on a device."""
        queries, first_starts, first_keys, second_keys = (each.to(device) for each in self[:4])
        return Lengths(queries, first_starts, first_keys, second_keys, self.first_rows)


class Ragged(NamedTuple):
    """Packed sequences as they are, for the variable-length kernel."""

    query_starts: Int[Tensor, " s+1"]
    key_starts: Int[Tensor, " s+1"]
    key_order: Int[Tensor, " m"]
    """Row of every key, group after group."""
    longest_query: int
    longest_key: int


class Rectangle(NamedTuple):
    """Groups of like length, padded to the longest of them."""

    num_groups: int
    is_real: Bool[Tensor, "s 1 1 k"] | None
    """False at padded keys; None without any."""


class Rectangles(NamedTuple):
    """Where packed tokens sit in rectangles one behind the other, and back."""

    query_cells: Int[Tensor, " cells"]
    """Query row of every cell; padding repeats a valid row."""
    key_cells: Int[Tensor, " cells"]
    scatter: Int[Tensor, " n"]
    """Cell of every query row."""
    query_sizes: tuple[int, ...]
    """Cells of every rectangle."""
    key_sizes: tuple[int, ...]
    rectangles: tuple[Rectangle, ...]


class Masked(NamedTuple):
    """FlexAttention's mask of groups."""

    blocks: "BlockMask"


Layout = Ragged | Rectangles | Masked


def backend_for(device: torch.device, dtype: torch.dtype) -> Backend:
    """The fastest way on a device that has a backward pass there; the variable-length kernel knows half precision only."""
    return "varlen" if device.type == "cuda" and dtype in (torch.bfloat16, torch.float16) else "sdpa"


def layout(lengths: Lengths, backend: Backend, device: torch.device | None = None) -> Layout:
    """All that a backend needs to know of a pack, once for all blocks; `device` is the tokens', where the lengths' is another."""
    match backend:
        case "varlen":
            return _ragged(lengths)
        case "flex":
            return _group_mask(lengths)
        case "sdpa":
            return _rectangles(lengths, device or lengths.queries.device)


def within(lengths: Int[Tensor, " s"]) -> Lengths:
    """Sequences that look at themselves."""
    return Lengths(lengths, starts(lengths), lengths, torch.zeros_like(lengths), int(lengths.sum()))


def attend(
    queries: Float[Tensor, "n h e"], keys: Float[Tensor, "m g e"], values: Float[Tensor, "m g e"], seen: Layout
) -> Float[Tensor, "n h e"]:
    """Softmax attention of every group; grouped queries (Ainslie et al. 2023) when there are fewer key-value heads."""
    match seen:
        case Ragged():
            from torch.nn.attention.varlen import varlen_attn  # imports the compiler, which takes seconds

            found = varlen_attn(
                queries, keys.index_select(0, seen.key_order), values.index_select(0, seen.key_order), seen.query_starts,
                seen.key_starts, seen.longest_query, seen.longest_key, enable_gqa=queries.shape[1] != keys.shape[1],
            )  # fmt: skip
            assert isinstance(found, Tensor), "a tuple comes when more is asked for"
            return found
        case Masked():
            from torch.nn.attention.flex_attention import flex_attention  # imports the compiler

            q, k, v = (rearrange(tensor, "n h e -> 1 h n e") for tensor in (queries, keys, values))
            found = flex_attention(q, k, v, block_mask=seen.blocks, enable_gqa=q.shape[1] != k.shape[1])
            assert isinstance(found, Tensor), "a tuple comes when more is asked for"
            return rearrange(found, "1 h n e -> n h e")
        case Rectangles():
            return _in_rectangles(queries, keys, values, seen)


def starts(lengths: Int[Tensor, " s"]) -> Int[Tensor, " s"]:
    """Where sequences of these lengths begin, one behind the other."""
    return torch.cumsum(lengths, 0) - lengths


def _key_rows(lengths: Lengths, groups: Int[Tensor, " c"], cell: Int[Tensor, " c"]) -> Int[Tensor, " c"]:
    """Row, in the two packs, of the key at place `cell` of a group."""
    seen = lengths.first_keys[groups]
    in_first = lengths.first_starts[groups] + cell
    in_second = lengths.first_rows + starts(lengths.second_keys)[groups] + cell - seen
    return torch.where(cell < seen, in_first, in_second)


def _ragged(lengths: Lengths) -> Ragged:
    keys = lengths.first_keys + lengths.second_keys
    groups = torch.repeat_interleave(torch.arange(len(keys), device=keys.device), keys)
    cell = torch.arange(len(groups), device=keys.device) - starts(keys)[groups]
    query_starts, key_starts = (
        functional.pad(torch.cumsum(each, 0, dtype=torch.int32), (1, 0)) for each in (lengths.queries, keys)
    )
    order = _key_rows(lengths, groups, cell)
    return Ragged(query_starts, key_starts, order, int(lengths.queries.max()), int(keys.max()))


def _group_mask(lengths: Lengths) -> Masked:
    from torch.nn.attention.flex_attention import create_block_mask  # imports the compiler

    device, own_starts = lengths.queries.device, lengths.first_rows + starts(lengths.second_keys)
    group = torch.repeat_interleave(torch.arange(len(lengths.queries), device=device), lengths.queries)
    shared_ends, own_ends = lengths.first_starts + lengths.first_keys, own_starts + lengths.second_keys
    blocks = create_block_mask(
        lambda _batch, _head, query, key: (
            ((key >= lengths.first_starts[group[query]]) & (key < shared_ends[group[query]]))
            | ((key >= own_starts[group[query]]) & (key < own_ends[group[query]]))
        ),
        None, None, len(group), lengths.first_rows + int(lengths.second_keys.sum()), device=str(device),
    )  # fmt: skip
    return Masked(blocks)


_RECTANGLE_PAIRS = 8192
"""Padded pairs of a query and a key that cost about as much as the calls for one more rectangle."""


def _rectangles(lengths: Lengths, device: torch.device) -> Rectangles:
    of_query, of_key = lengths.queries.cpu(), (lengths.first_keys + lengths.second_keys).cpu()
    on_cpu, first_query = lengths.to("cpu"), starts(of_query)
    query_cells, key_cells, rectangles = [], [], []
    scatter, num_cells = torch.empty(int(of_query.sum()), dtype=torch.long), 0
    for members in _alike(of_query.tolist(), of_key.tolist()):
        groups = torch.tensor(members)
        query, is_query = _cells(of_query[groups])
        key, is_key = _cells(of_key[groups])
        rows = first_query[groups][:, None] + query
        scatter[rows[is_query]] = num_cells + is_query.flatten().nonzero()[:, 0]
        num_cells += rows.numel()
        query_cells.append(rows.flatten())
        key_cells.append(_key_rows(on_cpu, groups[:, None].expand_as(key).flatten(), key.flatten()))
        rectangles.append(Rectangle(len(members), None if bool(is_key.all()) else is_key[:, None, None].to(device)))
    return Rectangles(
        torch.cat(query_cells).to(device), torch.cat(key_cells).to(device), scatter.to(device),
        tuple(map(len, query_cells)), tuple(map(len, key_cells)), tuple(rectangles),
    )  # fmt: skip


def _alike(queries: Sequence[int], keys: Sequence[int]) -> list[list[int]]:
    """Groups by rectangle: from the longest on, as many as padding costs less than another rectangle."""
    groups: list[list[int]] = []
    longest_key = real = 0
    for sample in sorted(range(len(queries)), key=lambda sample: (-queries[sample], -keys[sample])):
        own = queries[sample] * keys[sample]
        if groups:
            members, longest_key = groups[-1], max(longest_key, keys[sample])
            if (len(members) + 1) * queries[members[0]] * longest_key - real - own <= _RECTANGLE_PAIRS:
                members.append(sample)
                real += own
                continue
        groups.append([sample])
        longest_key, real = keys[sample], own
    return groups


def _cells(lengths: Int[Tensor, " s"]) -> tuple[Int[Tensor, "s k"], Bool[Tensor, "s k"]]:
    """Place in its sequence of every cell of a rectangle, padding at the last one, and whether a cell is real."""
    cell = torch.arange(int(lengths.max()))[None]
    return torch.minimum(cell, (lengths[:, None] - 1).clamp(min=0)), cell < lengths[:, None]


@_disable_dynamo                                                     # every pack has rectangles of its own
def _in_rectangles(
    queries: Float[Tensor, "n h e"], keys: Float[Tensor, "m g e"], values: Float[Tensor, "m g e"], seen: Rectangles
) -> Float[Tensor, "n h e"]:
    all_queries = queries.index_select(0, seen.query_cells).split(seen.query_sizes)
    all_keys = keys.index_select(0, seen.key_cells).split(seen.key_sizes)
    all_values = values.index_select(0, seen.key_cells).split(seen.key_sizes)
    found = []
    for place, *packed in zip(seen.rectangles, all_queries, all_keys, all_values, strict=True):
        q, k, v = (rearrange(cells, "(s k) h e -> s h k e", s=place.num_groups) for cells in packed)
        found.append(rearrange(_attended(q, k, v, place.is_real), "s h q e -> (s q) h e"))
    return torch.cat(found).index_select(0, seen.scatter)


def _attended(
    q: Float[Tensor, "s h q e"], k: Float[Tensor, "s g k e"], v: Float[Tensor, "s g k e"], mask: Bool[Tensor, "s 1 1 k"] | None
) -> Float[Tensor, "s h q e"]:
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and torch.is_grad_enabled():
        return _HalfOnCPU.apply(q, k, v, mask)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=q.shape[1] != k.shape[1])


_CHUNK_SCORES = 1 << 19
"""Scores held at once in the backward pass: about what fits into the cache of two cores."""


class _HalfOnCPU(torch.autograd.Function):
    """Torch's forward pass, and a backward pass by matrix products in bf16, which torch 2.13's takes twice as long for.

    Scores are computed anew, a chunk of queries at a time, so that memory grows with the tokens only (Rabe & Staats 2021,
    arXiv:2112.05682). They and the softmax are fp32, as in the forward pass.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, q: Float[Tensor, "s h q e"], k: Float[Tensor, "s g k e"], v: Float[Tensor, "s g k e"],
        mask: Bool[Tensor, "s 1 1 k"] | None,
    ) -> Float[Tensor, "s h q e"]:  # fmt: skip
        ctx.save_for_backward(q, k, v, mask)  # pyright: ignore[reportArgumentType]  None is allowed
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=q.shape[1] != k.shape[1])

    @staticmethod
    def backward(ctx: FunctionCtx, *grad_outputs: Float[Tensor, "s h q e"]) -> tuple[Tensor | None, ...]:
        (gradient,) = grad_outputs
        q, k, v, mask = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]  the class is hidden in C++
        num_heads, scale = k.shape[1], q.shape[-1] ** -0.5
        queries, gradients = (rearrange(each, "s (g r) q e -> s g (q r) e", g=num_heads) for each in (q, gradient))
        scaled_keys = (k.float() * scale).mT
        chunk = max(1, _CHUNK_SCORES // (len(k) * num_heads * k.shape[2]))
        for_q, for_k, for_v = [], torch.zeros_like(k, dtype=torch.float32), torch.zeros_like(v, dtype=torch.float32)
        for part, grad in zip(queries.split(chunk, dim=2), gradients.split(chunk, dim=2), strict=True):
            scores = part.float() @ scaled_keys
            if mask is not None:
                scores.masked_fill_(~mask, -torch.inf)
            weights = torch.softmax(scores, -1).to(q.dtype)
            for_v += weights.mT @ grad
            for_scores = torch.ops.aten._softmax_backward_data(grad @ v.mT, weights, -1, q.dtype)
            for_q.append(for_scores @ k)
            for_k += for_scores.mT @ part
        for_queries = rearrange(torch.cat(for_q, dim=2), "s g (q r) e -> s (g r) q e", q=q.shape[2])
        return for_queries * scale, (for_k * scale).to(k.dtype), for_v.to(v.dtype), None
