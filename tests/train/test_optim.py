"""The schedule of rates."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from train.objectives.contract import ParameterGroup
from train.optim import OptimConfig, optimizers, rate_factor, set_rates

CONFIG = OptimConfig(adamw_lr=1e-3, muon_lr=2e-2, weight_decay=0.0, warmup_steps=10, final_share=0.1, clip_norm=1.0)


def test_rates_rise_then_fall_to_the_final_share() -> None:
    factors = [rate_factor(step, num_steps=100, config=CONFIG) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors.index(max(factors)) == 9
    assert factors[99] == pytest.approx(0.1, abs=0.01)
    assert all(later < earlier for earlier, later in pairwise(factors[9:]))


def test_every_group_keeps_its_own_peak() -> None:
    groups = [ParameterGroup("muon", [nn.Parameter(torch.zeros(2, 2))]), ParameterGroup("adamw", [nn.Parameter(torch.zeros(2))])]
    built = optimizers(groups, CONFIG)
    for factor in (0.5, 0.25):
        set_rates(built, factor)
    assert [optimizer.param_groups[0]["lr"] for optimizer in built] == pytest.approx([0.25 * 2e-2, 0.25 * 1e-3])
