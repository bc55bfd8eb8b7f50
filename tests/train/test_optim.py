"""Which optimizer moves what, and how fast."""

import pytest
import torch
from torch import nn

from train.muon import Muon
from train.objectives.contract import ParameterGroup, Phase
from train.optim import OptimConfig, make_states_known, of_phase, optimizers, parameters_of, set_rates
from train.schedule import Constant

CONFIG = OptimConfig(adamw_lr=1e-3, muon_lr=2e-2, weight_decay=0.0, schedule=Constant(warmup_steps=0), clip_norm=1.0)
SECOND = Phase("second", every_steps=2)


def groups() -> list[ParameterGroup]:
    matrices, vectors, others = ([nn.Parameter(torch.zeros(shape))] for shape in ((2, 2), (2,), (3,)))
    return [ParameterGroup("muon", matrices), ParameterGroup("adamw", vectors, rate=0.5), ParameterGroup("adamw", others, SECOND)]


def test_every_group_keeps_its_own_peak() -> None:
    built = optimizers(groups(), CONFIG)
    for factor in (0.5, 0.25):
        set_rates(built.values(), factor)
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in built.items()}
    assert rates == pytest.approx({"main-muon": 0.25 * 2e-2, "main-adamw": 0.25 * 0.5 * 1e-3, "second-adamw": 0.25 * 1e-3})


def test_phases_have_optimizers_of_their_own() -> None:
    declared = groups()
    built = optimizers(declared, CONFIG)
    (second,) = of_phase(built, "second")
    assert second.param_groups[0]["params"] == declared[2].parameters == parameters_of(declared, "second")
    assert of_phase(built, "main") == [built["main-muon"], built["main-adamw"]]
    assert isinstance(built["main-muon"], Muon)


def test_matrices_are_given_to_adamw_on_request() -> None:
    built = optimizers(groups(), CONFIG.model_copy(update={"matrices": "adamw"}))
    assert list(built) == ["main-adamw", "second-adamw"]
    assert [len(group["params"]) for group in built["main-adamw"].param_groups] == [1, 1]


def test_states_that_are_known_beforehand_change_no_update() -> None:
    known, unknown = groups(), groups()
    for declared in (known, unknown):
        built = optimizers(declared, CONFIG)
        if declared is known:
            make_states_known(built.values())
        for step in range(3):
            for parameter in (parameter for group in declared for parameter in group.parameters):
                parameter.grad = torch.full_like(parameter, step - 0.5)
            for optimizer in built.values():
                optimizer.step()
    for group, same in zip(known, unknown, strict=True):
        assert torch.equal(group.parameters[0], same.parameters[0])
