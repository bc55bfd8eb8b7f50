"""Random choices that depend on a key alone: the same (seed, index) gives the same picture on every worker."""

import random
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from curation.splits import unit_draw

T = TypeVar("T")


def draws(generator: str, seed: int, index: int) -> random.Random:
    """A stream of draws for one picture.

    Python's Mersenne Twister keeps its sequence between versions for the methods used here, which numpy's do not promise.
    """
    return random.Random(int(unit_draw("knowledge", generator, seed, index) * 2**53))


def noise_source(stream: random.Random) -> np.random.Generator:
    """Numpy's generator for fields of noise, where a draw a pixel in Python would be too slow."""
    return np.random.Generator(np.random.PCG64(stream.getrandbits(63)))


def some(stream: random.Random, options: Sequence[T], *, least: int, most: int) -> list[T]:
    """Between `least` and `most` different options in their own order."""
    count = min(stream.randint(least, most), len(options))
    return [options[place] for place in sorted(stream.sample(range(len(options)), count))]
