"""Layers against closed forms."""

import pytest
import torch

from models.layers import rotate, rotations

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
