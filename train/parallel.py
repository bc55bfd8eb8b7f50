"""Replicated training: every worker holds the whole network and gradients are summed.

Summed by hand in one flat message rather than through DistributedDataParallel: a step runs several backward passes through
two entry points of one network, and the sum over slots, not the mean over workers, is what the loss is defined by.
"""

import torch
import torch.distributed as dist
from torch import nn


def owned_slots(num_slots: int, *, rank: int, num_workers: int) -> list[int]:
    """Slots of one worker: every `num_workers`-th, from its rank on.

    Raises:
        ValueError: the slots cannot be divided evenly.
    """
    if num_slots % num_workers:
        raise ValueError(f"plan.num_slots={num_slots} must be a multiple of num_workers={num_workers}; change one of them")
    return list(range(rank, num_slots, num_workers))


def sum_gradients(network: nn.Module) -> None:
    """Add up every worker's gradients; a parameter without one counts as zero."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([parameter.grad.flatten() for parameter in parameters if parameter.grad is not None])
    dist.all_reduce(flat)
    pieces = flat.split([parameter.numel() for parameter in parameters])
    for parameter, piece in zip(parameters, pieces, strict=True):
        parameter.grad = piece.view_as(parameter)


def summed_meters(meters: dict[str, float]) -> dict[str, float]:
    """Add up meters that every worker holds its share of; the order of names must agree."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return meters
    values = torch.tensor(list(meters.values()), dtype=torch.float64)
    dist.all_reduce(values)
    return dict(zip(meters, values.tolist(), strict=True))
