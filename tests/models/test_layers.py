"""Layers against closed forms."""

import pytest
import torch
from torch import nn

from models.layers import PartwiseRMSNorm, rotate, rotations

AXES = (4, 6, 6)


def test_products_of_turned_vectors_depend_on_the_distance_of_their_positions_only() -> None:
    query, key, positions = torch.randn(1, 2, 16), torch.randn(1, 2, 16), torch.tensor([[1, 2, 3], [0, 7, 5]])
    products = []
    for shift in (0, 11):
        turns = rotations(positions + shift, axis_widths=AXES, theta=100.0)
        products.append((rotate(query, turns[:1]) * rotate(key, turns[1:])).sum(-1))
    torch.testing.assert_close(*products)


def test_compiled_code_turns_by_the_same_angles(monkeypatch: pytest.MonkeyPatch) -> None:
    x, turns = torch.randn(5, 2, 16), rotations(torch.randint(0, 50, (5, 3)), axis_widths=AXES, theta=100.0)
    plain = rotate(x, turns)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(rotate(x, turns), plain)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_position_up_to_4096_turns_by_angles_of_its_own_even_under_autocast(axis: int) -> None:
    positions = torch.zeros(4096, 3, dtype=torch.long)
    positions[:, axis] = torch.arange(4096)
    with torch.autocast("cpu", torch.bfloat16):
        turns = rotations(positions, axis_widths=(32, 48, 48), theta=100.0)
        keys = rotate(torch.ones(1, 1, 128, dtype=torch.bfloat16).expand(4096, 1, 128), turns)
    assert turns.dtype == keys.dtype == torch.float32
    assert len(turns.flatten(1).unique(dim=0)) == 4096
    neighbours = (turns[1:] - turns[:-1]).flatten(1).norm(dim=1)
    assert neighbours.min() > 0.5


def test_parts_are_normalised_by_themselves() -> None:
    norm, alone = PartwiseRMSNorm(8, 2), nn.RMSNorm(4, eps=1e-6)
    parts = torch.randn(5, 4), 100 * torch.randn(5, 4)
    torch.testing.assert_close(norm(torch.cat(parts, dim=1)), torch.cat([alone(part) for part in parts], dim=1))
    whole = torch.randn(5, 8)
    torch.testing.assert_close(PartwiseRMSNorm(8, 1)(whole), nn.RMSNorm(8, eps=1e-6)(whole))
    with pytest.raises(ValueError, match="width=8 must be a multiple of its 3 parts"):
        PartwiseRMSNorm(8, 3)
