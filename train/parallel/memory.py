"""Less memory for activations, and compiled blocks: choices that hold under every engine.

They replace a block's `forward` in place, inside the hooks that sharding puts around it, and leave names of weights alone.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Literal

import torch
from pydantic import BaseModel
from torch import nn
from torch._ops import OpOverload
from torch.utils.checkpoint import (
    CheckpointPolicy,
    SelectiveCheckpointContext,
    checkpoint,
    create_selective_checkpoint_contexts,
    noop_context_fn,
)

_Contexts = Callable[[], tuple[AbstractContextManager[object], AbstractContextManager[object]]]
"""What stands around the forward pass and around its recomputation."""

_KEPT = frozenset(
    {
        "aten.mm.default",
        "aten.addmm.default",
        "aten.bmm.default",
        "aten._scaled_dot_product_flash_attention_for_cpu.default",
        "aten._scaled_dot_product_flash_attention.default",
        "aten._scaled_dot_product_efficient_attention.default",
        "aten._scaled_dot_product_cudnn_attention.default",
        "torch_attn._varlen_attn.default",
    }
)
"""Operators whose results selective recomputation keeps, by name: some are known to torch once they are imported."""


Recompute = Literal["none", "selective", "full"]


class MemoryConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What blocks keep between the forward and the backward pass, and how they run."""

    recompute: Recompute = "none"
    """Recomputed in the backward pass: nothing, all but matrix products and attention, or whole blocks."""
    offload: bool = False
    """Keep what the backward pass needs in the host's memory."""
    compile: bool = False
    """Compile every block."""


def apply(config: MemoryConfig, blocks: Sequence[nn.Module]) -> None:
    """Change the blocks' forward passes; results stay the same up to rounding."""
    for block in blocks:
        forward: Callable[..., object] = block.forward
        if config.recompute != "none":
            selective = partial(create_selective_checkpoint_contexts, _policy)
            forward = partial(_recomputed, forward, selective if config.recompute == "selective" else noop_context_fn)
        if config.compile:                                           # outside, so that operators are chosen by their first names
            forward = torch.compile(forward, dynamic=True)
        if config.offload:
            forward = partial(_offloaded, forward)
        block.forward = forward


def _policy(context: SelectiveCheckpointContext, op: OpOverload, *_: object, **__: object) -> CheckpointPolicy:  # noqa: ARG001
    return CheckpointPolicy.MUST_SAVE if str(op) in _KEPT else CheckpointPolicy.PREFER_RECOMPUTE


def _recomputed(forward: Callable[..., object], contexts: _Contexts, *given: object, **named: object) -> object:
    whole = partial(forward, **named)
    return checkpoint(whole, *given, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)


def _offloaded(forward: Callable[..., object], *given: object, **named: object) -> object:
    with torch.autograd.graph.save_on_cpu(pin_memory=torch.cuda.is_available()):
        return forward(*given, **named)
