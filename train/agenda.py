"""One worker's part of every step: its packs, in order, and the rows of ``images`` they are made of.

Slots go to workers in turn, so any number of workers that divides them works off the same global steps. A pack that a group of
slots shares goes to all workers that own some of them, if the groups' workers are the same or have none in common; else it goes
to one of them. So workers that meet inside a shared pack have all their shared packs in common: they come first, in the order of
the plan, and nobody waits for somebody who waits elsewhere.

n samples · r rows of a list
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from train.plan import Pick, Plan, StepPlan


class RowLists(NamedTuple):
    """Lists of rows, end to end."""

    rows: Int[np.ndarray, " r"]
    ends: Int[np.ndarray, " n"]

    def of(self, number: int) -> tuple[int, ...]:
        """One of the lists."""
        first = int(self.ends[number - 1]) if number else 0
        return tuple(self.rows[first : int(self.ends[number])].tolist())


class SampleRows(NamedTuple):
    """Rows in ``images`` of the samples' pictures: all that fetching needs to know of them."""

    order: Int[np.ndarray, " n"]
    """Place of every sample in the others."""
    targets: Int[np.ndarray, " n"]
    references: RowLists
    further: RowLists
    """Targets after the first."""

    def of(self, number: int) -> tuple[int, ...]:
        """The target's row, then the references', then those of further targets."""
        place = int(self.order[number])
        return (int(self.targets[place]), *self.references.of(place), *self.further.of(place))

    def num_further(self, number: int) -> int:
        """How many targets follow the first."""
        return len(self.further.of(int(self.order[number])))


class Assigned(NamedTuple):
    """A pack for this worker."""

    picks: tuple[Pick, ...]
    ranks: range | None
    """Workers that share it, None when it is this worker's alone."""


class WorkerStep(NamedTuple):
    """One worker's part of an optimizer step."""

    step: int
    packs: tuple[Assigned, ...]
    num_rounds: int
    """Most packs of any worker."""
    whole: StepPlan
    latents: str
    """Column of latents that the step learns from."""


class Agenda:
    """What one worker does, step after step; travels to other processes without the samples' texts."""

    def __init__(self, plan: Plan, rows: SampleRows, *, rank: int, num_workers: int) -> None:
        """Args:
            rank: of the worker whose agenda this is.

        Raises:
            ValueError: the plan's slots cannot be divided evenly.
        """
        if plan.config.num_slots % num_workers:
            raise ValueError(
                f"plan.num_slots={plan.config.num_slots} must be a multiple of num_workers={num_workers}; change one of them"
            )
        self.rank, self.num_workers = rank, num_workers
        self._plan, self._rows = plan, rows

    def of(self, step: int) -> WorkerStep:
        """The worker's part of a step, counted from 0."""
        whole = self._plan.step(step)
        shared = [(pack.pick, sharers(pack.slots, self.num_workers)) for pack in whole.shared]
        num_packs = [
            sum(len(packs) for packs in whole.slots[rank :: self.num_workers]) + sum(rank in ranks for _, ranks in shared)
            for rank in range(self.num_workers)
        ]
        together = [Assigned((pick,), ranks if len(ranks) > 1 else None) for pick, ranks in shared if self.rank in ranks]
        own = [Assigned(picks, None) for packs in whole.slots[self.rank :: self.num_workers] for picks in packs]
        return WorkerStep(step, (*together, *own), max(num_packs), whole, self._plan.config.stage_at(step).latents)

    def rows(self, work: WorkerStep) -> list[int]:
        """Every row that the worker's packs need, once, sorted."""
        return sorted({row for pack in work.packs for pick in pack.picks for row in self._rows.of(pick.sample)})


def sharers(slots: range, num_workers: int) -> range:
    """Workers that share a pack of this aligned group of slots; the owner of the first slot alone where groups would overlap."""
    first = slots.start % num_workers
    if num_workers % len(slots) == 0:
        return range(first, first + len(slots))
    return range(num_workers) if len(slots) % num_workers == 0 else range(first, first + 1)
