"""Context parallelism: one pack on several workers (DeepSpeed-Ulysses, Jacobs et al. 2023, arXiv:2309.14509).

Each worker has a run of the packed tokens, with all heads, for everything that works token by token. Attention looks across
tokens but not across heads, so around it an all-to-all turns runs of tokens into shares of the heads over all tokens, and back.
Chosen over passing keys and values around in a ring: its messages do not grow with the number of workers, and attention stays
the one kernel that packs need. Its bound is the number of heads; keys and values of fewer heads than workers go to several.

Every worker is given the whole pack and finds its own run by itself. Losses and gradients of the workers' runs add up to those of
the pack.

n tokens of this worker · a tokens of the pack · h heads · e head width
"""

from itertools import pairwise

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor
from torch._compile import _disable_dynamo  # torch.compiler.disable imports the compiler, 3.6 s a process
from torch.autograd.function import FunctionCtx


class Context:
    """The workers that share a pack; all of them make the same calls in the same order."""

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        """`group` is theirs, in the order of the runs; None for all workers."""
        self.group, self.rank, self.size = group, dist.get_rank(group), dist.get_world_size(group)

    def rows(self, num_tokens: int) -> slice:
        """This worker's run of a pack's tokens; runs differ by one token at most."""
        start, end = self.bounds(num_tokens)[self.rank : self.rank + 2]
        return slice(start, end)

    def bounds(self, num_tokens: int) -> list[int]:
        """Where the workers' runs begin, and where the last one ends."""
        return [rank * num_tokens // self.size for rank in range(self.size + 1)]

    def share(self, bounds: list[int]) -> "Share":
        """The exchange of tokens whose runs begin and end there."""
        return Share(self, [end - start for start, end in pairwise(bounds)])


def require_heads(num_workers: int, *, num_heads: int, num_kv_heads: int) -> None:
    """Refuse heads that so many workers cannot share out evenly.

    Raises:
        ValueError: the workers do not divide the heads, or neither divides the other for keys and values.
    """
    if num_heads % num_workers or (num_kv_heads % num_workers and num_workers % num_kv_heads):
        raise ValueError(
            f"num_heads={num_heads} and num_kv_heads={num_kv_heads} cannot be shared by {num_workers} workers: they must "
            "divide the former, and divide the latter or be a multiple of it; share a pack by fewer workers"
        )


class Share:
    """Turns one pack's tokens into heads and back."""

    def __init__(self, context: Context, lengths: list[int]) -> None:
        """`lengths` are the tokens of every worker's run."""
        self._context, self._lengths = context, lengths

    def by_heads(self, tokens: Float[Tensor, "n h e"]) -> Float[Tensor, "a _ e"]:
        """All tokens, with this worker's share of the heads."""
        size, own = self._context.size, len(tokens)
        if tokens.shape[1] < size:
            tokens = tokens.repeat_interleave(size // tokens.shape[1], dim=1)
        sent = tokens.unflatten(1, (size, -1)).transpose(0, 1).flatten(0, 1)  # (size n) h/size e
        return _exchanged(sent, [own] * size, self._lengths, self._context.group)

    def by_tokens(self, heads: Float[Tensor, "a _ e"]) -> Float[Tensor, "n h e"]:
        """This worker's run of tokens, with all heads."""
        size, own = self._context.size, self._lengths[self._context.rank]
        received = _exchanged(heads, self._lengths, [own] * size, self._context.group)
        return received.unflatten(0, (size, own)).transpose(0, 1).flatten(1, 2)


@_disable_dynamo                                                     # it waits for other workers
def _exchanged(
    rows: Float[Tensor, "k h e"], sent: list[int], received: list[int], group: dist.ProcessGroup | None
) -> Float[Tensor, "l h e"]:
    """Rows from every worker, for rows sent to each."""
    return _AllToAll.apply(rows, sent, received, group)


class _AllToAll(torch.autograd.Function):
    """Rows to every worker, and from every worker; gradients go the other way."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, rows: Float[Tensor, "k h e"], sent: list[int], received: list[int], group: dist.ProcessGroup | None
    ) -> Float[Tensor, "l h e"]:
        ctx.exchange = sent, received, group  # pyright: ignore[reportAttributeAccessIssue]  the way torch passes values on
        found = rows.new_empty(sum(received), *rows.shape[1:])
        dist.all_to_all_single(found, rows.contiguous(), received, sent, group=group)
        return found

    @staticmethod
    def backward(ctx: FunctionCtx, *grad_outputs: Float[Tensor, "l h e"]) -> tuple[Tensor | None, ...]:
        (gradient,) = grad_outputs
        sent, received, group = ctx.exchange  # pyright: ignore[reportAttributeAccessIssue]  see above
        return _AllToAll.apply(gradient, received, sent, group), None, None, None
