"""The plan: pure, exact, independent of workers."""

from collections import Counter

import numpy as np
import pytest

from train.plan import Plan, PlanConfig, draw_key

TASKS = ["t2i"] * 7 + ["edit"] * 5


def plan(*, seed: int = 0, num_slots: int = 2, weights: list[float] | None = None) -> Plan:
    config = PlanConfig(seed=seed, batch_samples=6, num_slots=num_slots, task_shares={"t2i": 0.5, "edit": 0.5})
    costs = np.array([1] * 7 + [2] * 5)
    return Plan(config, tasks=TASKS, weights=np.array(weights or [1.0] * 12), costs=costs)


def flat(planned: Plan, step: int) -> list[int]:
    return sorted(pick.sample for slot in planned.step(step) for pick in slot)


def test_a_step_is_the_same_whenever_and_by_whomever_it_is_asked_for() -> None:
    first = plan()
    later = [first.step(step) for step in (5, 3, 5)]
    assert later[0] == later[2] == plan().step(5)
    assert plan(seed=1).step(5) != later[0]


def test_every_sample_comes_once_per_epoch() -> None:
    planned = plan()
    edits = [pick for step in range(5) for slot in planned.step(step) for pick in slot if TASKS[pick.sample] == "edit"]
    for epoch in range(3):
        assert Counter(pick.sample for pick in edits if pick.epoch == epoch) == Counter(range(7, 12))


def test_slots_divide_the_same_batch_whatever_their_number() -> None:
    for step in range(4):
        assert flat(plan(num_slots=1), step) == flat(plan(num_slots=3), step)


def test_slots_carry_nearly_equal_loads() -> None:
    loads = [sum(1 if TASKS[pick.sample] == "t2i" else 2 for pick in slot) for slot in plan(num_slots=3).step(0)]
    assert max(loads) - min(loads) <= 1


def test_weights_are_appearances_per_epoch() -> None:
    weights = [0.0, 2.0, 0.5, *[1.0] * 9]
    planned = plan(weights=weights)
    seen = Counter(pick.sample for step in range(700) for slot in planned.step(step) for pick in slot)
    per_epoch = seen[3]
    assert seen[0] == 0
    assert seen[1] == pytest.approx(2 * per_epoch, rel=0.02)
    assert seen[2] == pytest.approx(0.5 * per_epoch, rel=0.2)


def test_a_task_without_samples_is_refused_by_name() -> None:
    config = PlanConfig(seed=0, batch_samples=4, num_slots=1, task_shares={"t2i": 0.5, "compose": 0.5})
    with pytest.raises(ValueError, match="samples of \\['compose'\\]"):
        Plan(config, tasks=TASKS, weights=np.ones(12), costs=np.ones(12, dtype=int))


def test_shares_must_add_up() -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        PlanConfig(seed=0, batch_samples=4, num_slots=1, task_shares={"t2i": 0.5})


def test_draw_keys_differ_by_each_of_their_parts() -> None:
    keys = {
        draw_key(seed, epoch=epoch, sample_id=sample, step=step)
        for seed in (0, 1)
        for epoch in (0, 1)
        for sample in "ab"
        for step in (0, 1)
    }
    assert len(keys) == 16
    assert all(0 <= key < 2**63 for key in keys)
