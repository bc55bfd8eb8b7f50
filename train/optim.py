"""Optimizers and their schedule: Muon for the matrices inside blocks, AdamW for everything else.

Both share one
schedule: a short warm-up, then linear decay to `final_share` of the rate.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from pydantic import BaseModel
from torch import nn
from torch.optim import AdamW, Optimizer

from train.muon import Muon
from train.objectives.contract import ParameterGroup


class OptimConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Rates and regularisation."""

    adamw_lr: Annotated[float, Gt(0.0)]
    """Peak rate of AdamW."""
    muon_lr: Annotated[float, Gt(0.0)]
    """Peak rate of Muon; unused by objectives without block matrices."""
    weight_decay: Annotated[float, Ge(0.0)]
    """Decoupled weight decay of both."""
    warmup_steps: Annotated[int, Ge(0)]
    """Steps of linear warm-up."""
    final_share: Annotated[float, Ge(0.0), Le(1.0)]
    """Rate at the last step, as a share of the peak."""
    clip_norm: Annotated[float, Gt(0.0)]
    """Largest norm of the whole gradient."""


def optimizers(groups: Sequence[ParameterGroup], config: OptimConfig) -> list[Optimizer]:
    """One optimizer per group; each remembers its peak rate among its settings, so that checkpoints hold it."""
    built = [_optimizer(group, config) for group in groups]
    for optimizer in built:
        for settings in optimizer.param_groups:
            settings["peak_lr"] = settings["lr"]
    return built


def _optimizer(group: ParameterGroup, config: OptimConfig) -> Optimizer:
    match group.kind:
        case "muon":
            return Muon(group.parameters, lr=config.muon_lr, weight_decay=config.weight_decay)
        case "adamw":
            return AdamW(group.parameters, lr=config.adamw_lr, weight_decay=config.weight_decay, betas=(0.9, 0.99))


def rate_factor(step: int, *, num_steps: int, config: OptimConfig) -> float:
    """What peak rates are multiplied by in optimizer step `step`, counted from 0."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    return warmup * (1 - (1 - config.final_share) * step / num_steps)


def set_rates(built: Sequence[Optimizer], factor: float) -> None:
    """Scale every group's peak rate."""
    for optimizer in built:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor


def clip_gradients(network: nn.Module, config: OptimConfig) -> float:
    """Scale the gradient down to `clip_norm`; the norm it had."""
    return float(torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm))
