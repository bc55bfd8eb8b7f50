"""How sure a number is: intervals for shares, for means and for statistics of whole sets."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Z_95 = 1.959963984540054
"""Half width of a normal 95 % interval in standard deviations."""


class Interval(NamedTuple):
    """A value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def wilson(hits: int, trials: int) -> Interval:
    """A share and its score interval (Wilson 1927); sensible at 0 and 1, where the normal interval has no width.

    Raises:
        ValueError: no trials, or more hits than trials.
    """
    if not 0 <= hits <= trials or trials == 0:
        raise ValueError(f"a share needs 0 <= hits <= trials and at least one trial, got {hits} of {trials}")
    share, z2 = hits / trials, Z_95**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def mean_of(values: Float[np.ndarray, " n"], *, seed: int, resamples: int = 1000) -> Interval:
    """Mean and its percentile bootstrap interval (Efron 1979).

    Raises:
        ValueError: no values.
    """
    if not len(values):
        raise ValueError("the mean of no values has no interval; evaluate at least one sample")
    drawn = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(1), (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high))


def statistic_of(
    statistic: Callable[[Int[np.ndarray, " k"]], float], num_items: int, *, seed: int, num_groups: int = 16
) -> Interval:
    """A statistic of a whole set with a normal interval from the grouped jackknife (Quenouille 1956), never below 0.

    Chosen over the bootstrap: a resample repeats items, which moves a Fréchet distance up as a whole, so that its percentiles can
    lie beside the value; and a few evaluations are enough.

    Args:
        statistic: takes the indices of the items that are kept; at least half of them.
        seed: of the partition into groups, each of which is left out once.

    Raises:
        ValueError: fewer than two items.
    """
    if num_items < 2:
        raise ValueError(f"an interval needs at least 2 items, got {num_items}")
    order = np.random.default_rng(seed).permutation(num_items)
    groups = np.array_split(order, min(num_groups, num_items))
    value = statistic(np.arange(num_items))
    without = np.array([statistic(np.setdiff1d(order, group)) for group in groups])
    half = Z_95 * math.sqrt((len(groups) - 1) / len(groups) * np.square(without - without.mean()).sum())
    return Interval(value, max(0.0, value - half), value + half)
