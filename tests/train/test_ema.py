"""The average of weights."""

import torch
from torch import nn

from train.ema import Average


def test_it_settles_on_constant_weights_and_forgets_the_first_ones() -> None:
    network = nn.Linear(2, 2)
    average = Average(network, decay=0.9)
    with torch.no_grad():
        network.weight.fill_(3.0)
    for step in range(100):
        average.update(network, step=step)
    torch.testing.assert_close(average.state["weight"], torch.full((2, 2), 3.0), atol=1e-3, rtol=0)


def test_it_is_a_copy_until_loaded() -> None:
    network = nn.Linear(2, 2)
    average = Average(network, decay=0.9)
    before = network.weight.detach().clone()
    with torch.no_grad():
        network.weight.add_(1.0)
    average.load_into(network)
    assert torch.equal(network.weight, before)
