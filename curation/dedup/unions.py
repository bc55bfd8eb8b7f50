"""Union-find over whole arrays of edges; the forest may lie in a file when it is larger than memory.

Rounds of hooking and pointer jumping (Shiloach and Vishkin 1982) take the place of one edge after the other, so numpy does the
work. Every tree's root is its smallest member, whatever the order in which edges come.

e edges · m members
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int64


class Unions:
    """A partition of 0 … `num` - 1 that only grows coarser."""

    def __init__(self, num: int, *, file: Path | None = None) -> None:
        """Singletons.

        Args:
            file: where the forest is kept, 8 bytes a member; in memory when None.
        """
        shape = (max(num, 1),)
        self._parent = np.empty(shape, np.int64) if file is None else np.memmap(file, np.int64, "w+", shape=shape)
        for start in range(0, num, 1 << 20):
            stop = min(num, start + (1 << 20))
            self._parent[start:stop] = np.arange(start, stop)

    def join(self, ours: Int64[np.ndarray, "e"], theirs: Int64[np.ndarray, "e"]) -> None:
        """Put the two ends of every edge into one part."""
        while len(ours):
            ours, theirs = self.roots(ours), self.roots(theirs)
            is_open = ours != theirs
            ours, theirs = ours[is_open], theirs[is_open]
            np.minimum.at(self._parent, np.maximum(ours, theirs), np.minimum(ours, theirs))

    def roots(self, members: Int64[np.ndarray, "m"]) -> Int64[np.ndarray, "m"]:
        """The smallest member of the part of each; paths are shortened on the way."""
        found = self._parent[members]
        while True:
            above = self._parent[found]
            if np.array_equal(above, found):
                break
            found = above
        self._parent[members] = found
        return found
