"""Exponential moving average of weights, in fp32: what is evaluated and exported.

It is kept in whatever form the weights are held in (whole, or a shard on each worker), and takes as much memory.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


class Average:
    """Average of floating-point weights by name; the horizon grows with the step until `decay` is reached."""

    def __init__(self, weights: Mapping[str, Tensor], *, decay: float) -> None:
        self.decay = decay
        self.state: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in weights.items()}

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor], *, step: int) -> None:
        """Take in the weights after optimizer step `step`, counted from 0.

        The effective decay is min(decay, (1 + step) / (10 + step)), so that early weights are forgotten in time.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in weights.items():
            if tensor.is_floating_point():
                self.state[name].lerp_(tensor.detach().to(self.state[name].dtype), 1 - decay)
            else:
                self.state[name].copy_(tensor)
