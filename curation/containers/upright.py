"""Turning stored pixels the way EXIF says they are to be seen (Exif 3.0, tag 0x0112)."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import UInt8

_TURNS: Mapping[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored[::-1].swapaxes(0, 1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored[:, ::-1].swapaxes(0, 1),
}


def turned(stored: UInt8[np.ndarray, "y x ..."], orientation: int) -> UInt8[np.ndarray, "v u ..."]:
    """The picture upright; 1 leaves it alone."""
    turn = _TURNS.get(orientation)
    return stored if turn is None else np.ascontiguousarray(turn(stored))
