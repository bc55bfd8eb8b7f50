"""Initial weights of networks on the meta device, keyed by (seed, name): the same under every engine and number of workers.

Weights are drawn on the host, module by module, so a network larger than any one memory can be sharded piece by piece.
"""

import hashlib
from collections.abc import Mapping

import torch
from torch import nn


def names_of(network: nn.Module) -> Mapping[nn.Module, str]:
    """Every module's name, taken before anything wraps them."""
    return {module: name for name, module in network.named_modules()}


def materialise(part: nn.Module, names: Mapping[nn.Module, str], *, seed: int) -> None:
    """Give memory and initial weights to what is still on the meta device in a part of a network, children before parents.

    Modules with weights of their own have `reset_parameters`; a parent may change what its children drew.
    """
    for module in reversed(list(part.modules())):
        own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        if own and all(tensor.is_meta for tensor in own):
            module.to_empty(device="cpu", recurse=False)
        elif own:
            continue
        reset = getattr(module, "reset_parameters", None)
        if reset is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(_key(seed, names[module]))
                reset()


def _key(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "big") >> 1
