"""The agenda: every pack of a step belongs to exactly one worker, or to a group of them."""

import pickle
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest

from curation.tasks import TASKS
from models.cost import Cost
from train.agenda import Agenda, RowLists, SampleRows, sharers
from train.plan import Plan, PlanConfig, Sizes, StageConfig

NUM_SAMPLES = 40


class Given(NamedTuple):
    plan: Plan
    rows: SampleRows


@pytest.fixture
def given() -> Given:
    """Twelve slots, every fourth sample above the cap, one reference each."""
    large = np.arange(NUM_SAMPLES) % 4 == 0
    sizes = Sizes(
        tasks=np.zeros(NUM_SAMPLES, np.int8), task_names=TASKS, weights=np.ones(NUM_SAMPLES),
        clean_tokens=np.full(NUM_SAMPLES, 3), noisy_tokens=np.where(large, 40, 9),
    )  # fmt: skip
    stages = (StageConfig(name="all", num_steps=8, task_shares={"t2i": 1.0}),)
    config = PlanConfig(seed=1, batch_samples=20, num_slots=12, stages=stages, max_tokens=24, context_slots=2)
    numbers = np.arange(NUM_SAMPLES)
    rows = SampleRows(
        order=numbers, targets=numbers, references=RowLists(100 + numbers, numbers + 1),
        further=RowLists(numbers[:0], 0 * numbers),
    )  # fmt: skip
    return Given(Plan(config, sizes, cost=Cost(1.0, 1.0, 0.1)), rows)


@pytest.mark.parametrize("num_workers", [1, 2, 3, 4, 6, 12])
def test_workers_together_have_every_pick_once(given: Given, num_workers: int) -> None:
    agendas = [Agenda(given.plan, given.rows, rank=rank, num_workers=num_workers) for rank in range(num_workers)]
    for step in range(3):
        works = [agenda.of(step) for agenda in agendas]
        picks: Counter[object] = Counter()
        for rank, work in enumerate(works):
            for pack in work.packs:
                if pack.ranks is None or rank == pack.ranks.start:
                    picks.update(pack.picks)
        whole = works[0].whole
        planned = [pick for packs in whole.slots for pack in packs for pick in pack] + [one.pick for one in whole.shared]
        assert picks == Counter(planned)
        assert {work.num_rounds for work in works} == {max(len(work.packs) for work in works)}


@pytest.mark.parametrize("num_workers", [1, 2, 3, 4, 6, 12])
def test_workers_that_meet_have_the_same_shared_packs_first(given: Given, num_workers: int) -> None:
    works = [Agenda(given.plan, given.rows, rank=rank, num_workers=num_workers).of(0) for rank in range(num_workers)]
    assert works[0].whole.shared
    for rank, work in enumerate(works):
        together = [pack for pack in work.packs if pack.ranks is not None]
        assert work.packs[: len(together)] == tuple(together)
        for pack in together:
            assert pack.ranks is not None
            assert rank in pack.ranks
            assert all([other for other in works[met].packs if other.ranks is not None] == together for met in pack.ranks)
    is_shared = any(pack.ranks is not None for work in works for pack in work.packs)
    assert is_shared == (num_workers > 1 and (num_workers % 2 == 0))


def test_groups_larger_than_the_world_are_everybodys(given: Given) -> None:
    assert sharers(range(4, 8), 2) == range(2)
    assert sharers(range(4, 8), 8) == range(4, 8)
    assert sharers(range(8, 12), 8) == range(4)
    assert sharers(range(2, 4), 3) == range(2, 3)


def test_an_agenda_that_travelled_names_the_same_rows(given: Given) -> None:
    agenda = Agenda(given.plan, given.rows, rank=1, num_workers=3)
    work = agenda.of(5)
    arrived: Agenda = pickle.loads(pickle.dumps(agenda))
    assert arrived.of(5) == work
    targets = {pick.sample for pack in work.packs for pick in pack.picks}
    assert arrived.rows(work) == sorted(targets | {100 + target for target in targets})


def test_slots_that_cannot_be_divided_are_refused(given: Given) -> None:
    with pytest.raises(ValueError, match="num_slots=12 must be a multiple of num_workers=5"):
        Agenda(given.plan, given.rows, rank=0, num_workers=5)
