"""Exponential moving average of weights, in fp32: what is evaluated and exported."""

import torch
from torch import Tensor, nn


class Average:
    """Average of a network's floating-point state; the horizon grows with the step until `decay` is reached."""

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.state: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, *, step: int) -> None:
        """Take in the weights after optimizer step `step`, counted from 0.

        The effective decay is min(decay, (1 + step) / (10 + step)), so that early weights are forgotten in time.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                self.state[name].lerp_(tensor, 1 - decay)
            else:
                self.state[name].copy_(tensor)

    def load_into(self, network: nn.Module) -> None:
        """Replace a network's weights by their average."""
        network.load_state_dict(self.state)
