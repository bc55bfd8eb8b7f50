"""Muon's update against the singular value decomposition."""

import pytest
import torch
from torch import nn

from train.muon import Muon, orthogonalised


@pytest.mark.parametrize(("arithmetic", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 4e-2)])
@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (16, 16)])
def test_singular_values_come_near_one_and_directions_stay(
    shape: tuple[int, int], arithmetic: torch.dtype, tolerance: float
) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(*shape)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    result = orthogonalised(matrix[None], arithmetic=arithmetic)[0]
    values = torch.diagonal(left.T @ result @ right.T)
    assert values.min() > 0.6
    assert values.max() < 1.3
    torch.testing.assert_close(left @ torch.diag(values) @ right, result, atol=tolerance, rtol=0)


def test_matrices_of_one_shape_are_updated_as_each_would_be_alone() -> None:
    torch.manual_seed(0)
    matrices = [torch.randn(4, 6) for _ in range(3)]
    gradients = [torch.randn(4, 6) for _ in range(3)]

    def trained(indices: list[int]) -> list[torch.Tensor]:
        parameters = [nn.Parameter(matrices[i].clone()) for i in indices]
        optimizer = Muon(parameters, lr=0.1, weight_decay=0.01)
        for _ in range(2):
            for parameter, i in zip(parameters, indices, strict=True):
                parameter.grad = gradients[i]
            optimizer.step()
        return [parameter.detach() for parameter in parameters]

    for together, i in zip(trained([0, 1, 2]), range(3), strict=True):
        torch.testing.assert_close(together, trained([i])[0])


def test_it_descends_a_quadratic() -> None:
    torch.manual_seed(0)
    goal, parameter = torch.randn(8, 8), nn.Parameter(torch.zeros(8, 8))
    optimizer = Muon([parameter], lr=0.15, weight_decay=0.0)
    before = (parameter - goal).square().sum().item()
    for _ in range(100):
        optimizer.zero_grad()
        (parameter - goal).square().sum().backward()
        optimizer.step()
    assert (parameter - goal).square().sum().item() < 0.1 * before


def test_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="Muon trains matrices"):
        Muon([nn.Parameter(torch.zeros(3))], lr=0.1, weight_decay=0.0)
