"""A transformer that answers: at birth its output is zero, whatever it is shown."""

import torch

from models.dit import DiT
from models.sizes import DiTConfig


def stirred(config: DiTConfig) -> DiT:
    """The same weights for a shape every time, none of them zero."""
    torch.manual_seed(0)
    dit = DiT(config)
    with torch.no_grad():
        for parameter in dit.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return dit
