"""An endless walk over the samples of one task: epoch after epoch, each shuffled, yet read nearly in table order.

Clumps of neighbouring samples are permuted, then the samples of a window of clumps are shuffled among each other: what a step
fetches lies in a few stretches of the table, and clumps meet others in every epoch. Every window of every epoch has a
counter-based generator of its own (Philox, Salmon et al. 2011), so any of them is made by itself.

A sample of weight w appears floor(w) times in an epoch, and once more with probability w - floor(w), by systematic sampling
(Madow 1949): the weights lie end to end along a line in the epoch's order of clumps, beginning at an offset in [0, 1), and a
sample appears once for every whole number in its stretch. With weights that add up to T, epoch e begins at position
floor(e T + u) for one u in [0, 1), and its offset is drawn among those that meet as many whole numbers as there are positions
up to the next epoch, which leaves it uniform over epochs. So where an epoch begins, and which epoch a position is in, is
arithmetic whatever the weights. Weights are counted in whole units of 2^-24, so that sums are exact on any machine.

n samples of the task · m clumps · k picks
"""

import hashlib
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

_BITS = 24
_ONE = 1 << _BITS
"""A weight of 1, in units."""

_WINDOWS_HELD, _EPOCHS_HELD = 8, 4


class Shuffle(NamedTuple):
    """How far samples are moved from their place in the table."""

    clump_samples: int
    """Neighbouring samples that stay in one window."""
    window_clumps: int
    """Clumps whose samples are shuffled among each other."""


class Stretch(NamedTuple):
    """Picks that follow each other in a walk."""

    samples: Int[np.ndarray, " k"]
    epochs: Int[np.ndarray, " k"]
    """How often the walk has been round before each of them."""


class _Layout(NamedTuple):
    """Where everything lies in one epoch."""

    clumps: Int[np.ndarray, " m"]
    """Order of the clumps."""
    before: Int[np.ndarray, " m+1"]
    """Offset and weights of all clumps before each of `clumps`, in units; the last is the epoch's end."""


class Walk:
    """Positions 0, 1, 2, ... of a walk; holds no position, and of orders only the last few windows."""

    def __init__(
        self, members: Int[np.ndarray, " n"], weights: Float[np.ndarray, " all"], *, key: tuple[int | str, ...], shuffle: Shuffle
    ) -> None:
        """No order is made yet.

        Args:
            members: the samples of the walk, in table order; at least one.
            weights: expected appearances per epoch of all samples, above 0 for members; indexed by `members`.
            key: keys every draw; differs between walks.
        """
        assert len(members), key
        self._members, self._weights, self._key, self._shuffle = members, weights, key, shuffle
        self._clump_units = np.add.reduceat(self._units(members), np.arange(0, len(members), shuffle.clump_samples))
        self._epoch_units = int(self._clump_units.sum())
        self._start = hashed(*key) % _ONE
        self._layout = lru_cache(maxsize=_EPOCHS_HELD)(self._laid_out)
        self._window = lru_cache(maxsize=_WINDOWS_HELD)(self._shuffled)

    def take(self, first: int, count: int) -> Stretch:
        """The picks at positions `first` to `first + count` (excluded), at least one."""
        samples, epochs, position = [], [], first
        while position < first + count:
            epoch = self.epoch_at(position)
            piece = self._from(epoch, position - self.first_of(epoch))[: first + count - position]
            samples.append(piece)
            epochs.append(np.full(len(piece), epoch, dtype=np.int64))
            position += len(piece)
        return Stretch(np.concatenate(samples), np.concatenate(epochs))

    def first_of(self, epoch: int) -> int:
        """Position at which an epoch begins."""
        return (epoch * self._epoch_units + self._start) >> _BITS

    def epoch_at(self, position: int) -> int:
        """The epoch that a position is in."""
        return (((position + 1) << _BITS) - 1 - self._start) // self._epoch_units

    def _from(self, epoch: int, offset: int) -> Int[np.ndarray, " k"]:
        """The rest of the window that holds the offset of the epoch; never empty."""
        starts = self._layout(epoch).before[: -1 : self._shuffle.window_clumps] >> _BITS
        window = int(np.searchsorted(starts, offset, side="right")) - 1
        return self._window(epoch, window)[offset - int(starts[window]) :]

    def _laid_out(self, epoch: int) -> _Layout:
        draws = _generator(*self._key, epoch)
        clumps = draws.permutation(len(self._clump_units))
        shortest, fraction = self._epoch_units >> _BITS, self._epoch_units % _ONE
        is_long = self.first_of(epoch + 1) - self.first_of(epoch) > shortest
        offset = draws.integers(_ONE - fraction, _ONE) if is_long else draws.integers(0, _ONE - fraction)
        return _Layout(clumps, offset + np.concatenate([[0], np.cumsum(self._clump_units[clumps])]))

    def _shuffled(self, epoch: int, window: int) -> Int[np.ndarray, " k"]:
        layout, size = self._layout(epoch), self._shuffle.clump_samples
        first = window * self._shuffle.window_clumps
        clumps = layout.clumps[first : first + self._shuffle.window_clumps]
        places = (clumps[:, None] * size + np.arange(size)).ravel()
        samples = self._members[places[places < len(self._members)]]
        ends = layout.before[first] + np.concatenate([[0], np.cumsum(self._units(samples))])
        return _generator(*self._key, epoch, window).permutation(np.repeat(samples, np.diff(ends >> _BITS)))

    def _units(self, samples: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        return np.maximum(np.rint(self._weights[samples].astype(np.float64) * _ONE), 1).astype(np.int64)


def hashed(*parts: int | str) -> int:
    """A 64-bit number that is the parts' own."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest(), "big")


def _generator(*parts: int | str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=hashed(*parts)))
