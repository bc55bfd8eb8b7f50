"""Lengths and boxes in pictures."""

Px = float | int
"""A length in pixels, whole or not."""
Box = tuple[Px, Px, Px, Px]
"""Left, top, right and bottom in pixels, right and bottom exclusive."""
