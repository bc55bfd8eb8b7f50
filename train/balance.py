"""A step's samples spread over slots by their operations, and cut into packs by their tokens.

Longest first onto the least loaded (Graham 1969). Operations decide where a sample goes, tokens how many share a pack: memory
grows with tokens, time with operations, and attention keeps the two apart. Samples above the cap of a pack are shared by a group
of neighbouring slots and are placed first, so that the others fill up what they leave uneven. Rejected: cutting samples up, which
needs an exchange of keys and values for every sample, not only for the longest.

n samples
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Limits(NamedTuple):
    """What samples are spread over."""

    num_slots: int
    max_tokens: int
    """Tokens of a pack."""
    context_slots: int
    """Neighbouring slots that share a sample above `max_tokens`; with 1 it is a pack by itself."""


class Shared(NamedTuple):
    """A sample that a group of slots shares."""

    item: int
    slots: range


class Placement(NamedTuple):
    """Where every sample went, by its place in what was given."""

    slots: list[list[list[int]]]
    """Packs of every slot."""
    shared: list[Shared]


def place(flops: Float[np.ndarray, " n"], tokens: Int[np.ndarray, " n"], limits: Limits) -> Placement:
    """Spread samples over slots and cut what each slot has into packs.

    Args:
        flops: operations of the samples, the most first.
        tokens: clean and noisy tokens of the samples.
    """
    is_shared = (tokens > limits.max_tokens) & (limits.context_slots > 1)
    together, alone = np.flatnonzero(is_shared).tolist(), np.flatnonzero(~is_shared).tolist()
    share = flops / limits.context_slots
    groups, group_loads = _spread(together, share, [0.0] * (limits.num_slots // limits.context_slots))
    slots, _ = _spread(alone, flops, [load for load in group_loads for _ in range(limits.context_slots)])
    return Placement(
        slots=[packed(items, tokens, max_tokens=limits.max_tokens) for items in slots],
        shared=[
            Shared(item, range(group * limits.context_slots, (group + 1) * limits.context_slots))
            for group, items in enumerate(groups)
            for item in items
        ],
    )


def packed(items: Sequence[int], tokens: Int[np.ndarray, " n"], *, max_tokens: int) -> list[list[int]]:
    """Items in few packs of at most `max_tokens`, evenly filled where that takes no more packs; larger items are each alone.

    First fit decreasing says how many packs it takes, at most 11/9 of the fewest (Johnson 1973).
    """
    large = [[item] for item in items if tokens[item] > max_tokens]
    ordered = sorted((item for item in items if tokens[item] <= max_tokens), key=lambda item: -int(tokens[item]))
    first_fit = _first_fit(ordered, tokens, max_tokens)
    if not first_fit:
        return large
    even, loads = _spread(ordered, tokens, [0.0] * len(first_fit))
    return large + (even if max(loads) <= max_tokens else first_fit)


def _first_fit(items: Iterable[int], tokens: Int[np.ndarray, " n"], max_tokens: int) -> list[list[int]]:
    packs: list[list[int]] = []
    room: list[int] = []
    for item in items:
        size = int(tokens[item])
        number = next((number for number, left in enumerate(room) if left >= size), len(room))
        if number == len(room):
            packs.append([])
            room.append(max_tokens)
        packs[number].append(item)
        room[number] -= size
    return packs


def _spread(items: Iterable[int], sizes: np.ndarray, loads: Sequence[float]) -> tuple[list[list[int]], list[float]]:
    """Every item, in order, to the least loaded bin; the bins and their loads."""
    bins: list[list[int]] = [[] for _ in loads]
    heap = [(load, number) for number, load in enumerate(loads)]
    heapq.heapify(heap)
    for item in items:
        load, number = heap[0]
        bins[number].append(item)
        heapq.heapreplace(heap, (load + float(sizes[item]), number))
    final = {number: load for load, number in heap}
    return bins, [final[number] for number in range(len(bins))]
