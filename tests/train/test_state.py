"""Checkpoints: exact, checked, bounded."""

from pathlib import Path

import torch
from torch import nn

from train.ema import Average
from train.muon import Muon
from train.state import TrainState


def fresh() -> TrainState:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    matrices = [parameter for parameter in network.parameters() if parameter.dim() == 2]
    vectors = [parameter for parameter in network.parameters() if parameter.dim() == 1]
    optimizers = [Muon(matrices, lr=0.01, weight_decay=0.01), torch.optim.AdamW(vectors, lr=0.01)]
    return TrainState(network, Average(network, decay=0.9), optimizers)


def advance(state: TrainState, num_steps: int) -> None:
    for _ in range(num_steps):
        inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(state.num_steps_done))
        state.network(inputs).square().mean().backward()
        for optimizer in state.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        state.average.update(state.network, step=state.num_steps_done)
        state.num_steps_done += 1


def weights(state: TrainState) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in (*state.network.state_dict().values(), *state.average.state.values())])


def test_going_on_from_a_checkpoint_is_going_on(tmp_path: Path) -> None:
    straight = fresh()
    advance(straight, 7)
    broken = fresh()
    advance(broken, 3)
    broken.save(tmp_path, keep=2)
    resumed = fresh()
    assert resumed.restore(tmp_path)
    assert resumed.num_steps_done == 3
    advance(resumed, 4)
    assert torch.equal(weights(straight), weights(resumed))


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    state = fresh()
    for _ in range(4):
        advance(state, 1)
        state.save(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000003", "step-00000004"]


def test_a_damaged_newest_one_gives_way_to_the_one_before(tmp_path: Path) -> None:
    state = fresh()
    advance(state, 1)
    state.save(tmp_path, keep=2)
    advance(state, 1)
    newest = state.save(tmp_path, keep=2)
    data = next(newest.glob("*.distcp"))
    data.write_bytes(data.read_bytes()[:-10])
    resumed = fresh()
    assert resumed.restore(tmp_path)
    assert resumed.num_steps_done == 1


def test_without_a_checkpoint_there_is_nothing_to_restore(tmp_path: Path) -> None:
    assert not fresh().restore(tmp_path)
