"""Grids drawn while training goes on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from train.config import FitConfig
from train.objectives import build
from train.objectives.flow import Flow
from train.preview import PreviewConfig, Previews, drawn, tiled

PREVIEW = PreviewConfig(every_steps=10, prompts=("a red apple", "a green apple", "a fish"), sampler_steps=2)


@pytest.fixture
def flow(fit_config: FitConfig) -> Flow:
    objective = build(fit_config.objective)
    assert isinstance(objective, Flow)
    return objective


@pytest.fixture
def weights(flow: Flow) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        name: 0.1 * torch.randn(tensor.shape, generator=generator) if tensor.is_floating_point() else torch.zeros(tensor.shape)
        for name, tensor in flow.network.state_dict().items()
    }


def test_a_grid_depends_on_the_weights_alone(flow: Flow, weights: dict[str, Tensor], tmp_path: Path):
    previews = Previews(PREVIEW, flow, tmp_path / "previews", num_steps=25)
    before = {name: tensor.clone() for name, tensor in weights.items()}
    first = np.asarray(Image.open(previews.draw(weights, 10)))
    torch.randn(7)
    again = np.asarray(Image.open(previews.draw(weights, 20)))
    other = np.asarray(Image.open(previews.draw({name: 2 * tensor for name, tensor in weights.items()}, 25)))
    assert first.shape == (2 * 8 + 2, 2 * 8 + 2, 3)
    assert (first == again).all()
    assert (first != other).any()
    assert all(torch.equal(weights[name], before[name]) for name in weights)
    assert drawn(tmp_path / "previews") == {step: tmp_path / "previews" / f"step-{step:06d}.png" for step in (10, 20, 25)}


def test_training_draws_the_same_numbers_with_and_without_grids(flow: Flow, weights: dict[str, Tensor], tmp_path: Path):
    torch.manual_seed(0)
    expected = torch.randn(5)
    torch.manual_seed(0)
    Previews(PREVIEW, flow, tmp_path, num_steps=25).draw(weights, 10)
    assert torch.equal(torch.randn(5), expected)
    assert all(tensor.is_meta for tensor in flow.network.parameters())       # what is trained was not touched


def test_grids_are_due_at_their_steps_and_at_the_end(flow: Flow, tmp_path: Path):
    previews = Previews(PREVIEW, flow, tmp_path, num_steps=25)
    assert [step for step in range(1, 26) if previews.is_due(step)] == [10, 20, 25]


def test_pictures_lie_row_by_row_on_white():
    sheet = tiled([torch.full((3, 4, 6), value) for value in (-1.0, 0.0, 1.0)])
    assert sheet.shape == (10, 14, 3)
    assert (sheet[:4, :6] == 0).all()
    assert (sheet[:4, 8:] == 128).all()
    assert (sheet[6:, :6] == 255).all()
    assert (sheet[4:6] == 255).all()


def test_a_run_that_draws_nothing_has_no_grids(tmp_path: Path):
    assert drawn(tmp_path / "previews") == {}
