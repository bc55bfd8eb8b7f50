"""The average of weights."""

import pytest
import torch

from train.ema import Average


def test_it_settles_on_constant_weights_and_forgets_the_first_ones() -> None:
    average = Average({"weight": torch.zeros(2, 2)}, decay=0.9)
    for step in range(100):
        average.update({"weight": torch.full((2, 2), 3.0)}, step=step)
    torch.testing.assert_close(average.state["weight"], torch.full((2, 2), 3.0), atol=1e-3, rtol=0)


def test_its_horizon_grows_with_the_step() -> None:
    average = Average({"weight": torch.zeros(1)}, decay=0.5)
    average.update({"weight": torch.ones(1)}, step=0)
    assert average.state["weight"].item() == pytest.approx(1 - 1 / 10)
    average = Average({"weight": torch.zeros(1)}, decay=0.5)
    average.update({"weight": torch.ones(1)}, step=1000)
    assert average.state["weight"].item() == pytest.approx(0.5)


def test_it_is_a_copy_and_counts_are_not_averaged() -> None:
    weights = {"weight": torch.zeros(2), "count": torch.tensor(1)}
    average = Average(weights, decay=0.9)
    weights["weight"] += 1.0
    assert torch.equal(average.state["weight"], torch.zeros(2))
    average.update({**weights, "count": torch.tensor(7)}, step=0)
    assert average.state["count"].item() == 7
