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


def test_parts_are_normalised_by_themselves() -> None:
    norm, alone = PartwiseRMSNorm(8, 2), nn.RMSNorm(4, eps=1e-6)
    parts = torch.randn(5, 4), 100 * torch.randn(5, 4)
    torch.testing.assert_close(norm(torch.cat(parts, dim=1)), torch.cat([alone(part) for part in parts], dim=1))
    whole = torch.randn(5, 8)
    torch.testing.assert_close(PartwiseRMSNorm(8, 1)(whole), nn.RMSNorm(8, eps=1e-6)(whole))
    with pytest.raises(ValueError, match="width=8 must be a multiple of its 3 parts"):
        PartwiseRMSNorm(8, 3)
