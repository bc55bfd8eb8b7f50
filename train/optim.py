"""Optimizers: Muon for the matrices inside blocks, AdamW for everything else, with fp32 states; one schedule for both."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from pydantic import BaseModel
from torch import nn
from torch.optim import AdamW, Optimizer

from train.muon import Muon
from train.objectives.contract import ParameterGroup
from train.schedule import Schedule

Kind = Literal["muon", "adamw"]


class OptimConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Rates and regularisation."""

    adamw_lr: Annotated[float, Gt(0.0)]
    """Peak rate of AdamW."""
    muon_lr: Annotated[float, Gt(0.0)]
    """Peak rate of Muon; unused by objectives without block matrices."""
    matrices: Kind = "muon"
    """What trains the matrices inside blocks."""
    weight_decay: Annotated[float, Ge(0.0)]
    """Decoupled weight decay of both."""
    schedule: Schedule
    """Course of the rates."""
    clip_norm: Annotated[float, Gt(0.0)]
    """Largest norm of the whole gradient."""


def optimizers(groups: Sequence[ParameterGroup], config: OptimConfig) -> dict[str, Optimizer]:
    """One optimizer for each phase and kind, by name; each remembers its peak rates, so that checkpoints hold them."""
    built: dict[str, Optimizer] = {}
    kinds: list[tuple[str, Kind]] = [(group.phase.name, _kind(group, config)) for group in groups]
    for phase, kind in dict.fromkeys(kinds):
        alike = [group for group, its in zip(groups, kinds, strict=True) if its == (phase, kind)]
        built[f"{phase}-{kind}"] = _optimizer(kind, alike, config)
    return built


def make_states_known(built: Iterable[Optimizer]) -> None:
    """Let optimizers hold the states they begin with, which else come with a parameter's first gradient.

    So a checkpoint holds those of parameters that stand still or whose phase is yet to come, and saving changes none.
    """
    for optimizer in built:
        names = ("momentum_buffer",) if isinstance(optimizer, Muon) else ("exp_avg", "exp_avg_sq")
        for parameter in (parameter for group in optimizer.param_groups for parameter in group["params"]):
            state = {name: torch.zeros_like(parameter) for name in names}
            optimizer.state[parameter] = state if isinstance(optimizer, Muon) else {"step": torch.tensor(0.0), **state}


def of_phase(built: Mapping[str, Optimizer], phase: str) -> list[Optimizer]:
    """The optimizers that move the parameters of a phase."""
    return [optimizer for name, optimizer in built.items() if name.rpartition("-")[0] == phase]


def _kind(group: ParameterGroup, config: OptimConfig) -> Kind:
    return config.matrices if group.kind == "muon" else "adamw"


def _optimizer(kind: Kind, groups: Sequence[ParameterGroup], config: OptimConfig) -> Optimizer:
    peak = config.muon_lr if kind == "muon" else config.adamw_lr
    settings = [
        {"params": group.parameters, "lr": peak * group.rate, "peak_lr": peak * group.rate}
        for group in groups
        if group.parameters
    ]
    match kind:
        case "muon":
            return Muon(settings, lr=peak, weight_decay=config.weight_decay)
        case "adamw":
            return AdamW(settings, lr=peak, weight_decay=config.weight_decay, betas=(0.9, 0.99))


def set_rates(built: Iterable[Optimizer], factor: float) -> None:
    """Scale every group's peak rate."""
    for optimizer in built:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor


def parameters_of(groups: Sequence[ParameterGroup], phase: str) -> list[nn.Parameter]:
    """Every parameter that a phase moves."""
    return [parameter for group in groups if group.phase.name == phase for parameter in group.parameters]
