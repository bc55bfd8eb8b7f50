"""The workers of a run, and sums over all."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist


class World(NamedTuple):
    """This worker's place among all."""

    rank: int
    size: int
    device: torch.device = torch.device("cpu")

    def total(self, values: Sequence[float]) -> list[float]:
        """Sums over all workers of numbers that each holds its share of, in float64."""
        if self.size == 1:
            return list(values)
        held = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(held)
        return held.tolist()

    def gathered(self, value: float) -> list[float]:
        """Every worker's number, by rank."""
        if self.size == 1:
            return [value]
        held = torch.zeros(self.size, dtype=torch.float64, device=self.device)
        held[self.rank] = value
        dist.all_reduce(held)
        return held.tolist()

    def merged(self, held: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        """Sums and counts by name, over all workers; a name may be known to some of them only."""
        parts: list[Mapping[str, tuple[float, float]]] = [held]
        if self.size > 1:
            parts = [{}] * self.size
            dist.all_gather_object(parts, held)
        names = dict.fromkeys(name for part in parts for name in part)
        zero = (0.0, 0.0)
        return {name: (sum(p.get(name, zero)[0] for p in parts), sum(p.get(name, zero)[1] for p in parts)) for name in names}

    def wait(self) -> None:
        """Go on when all workers are here."""
        if self.size > 1:
            dist.barrier()
