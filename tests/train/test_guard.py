"""Which steps are taken, and what is remembered of those that are not."""

import pytest

from train.guard import Diverged, Guard, GuardConfig, Memory, Norms, RolledBack

CONFIG = GuardConfig(spike_factor=10.0, spikes_after=5)


def used_to(**norms: float) -> Guard:
    guard = Guard(CONFIG)
    for phase, norm in norms.items():
        for _ in range(5):
            assert guard.judge(phase, 1.0, norm) == "fine"
    return guard


@pytest.mark.parametrize(("loss", "norm"), [(float("nan"), 1.0), (float("inf"), 1.0), (1.0, float("nan")), (1.0, float("inf"))])
def test_what_is_not_finite_is_found_from_the_first_step(loss: float, norm: float) -> None:
    assert Guard(CONFIG).judge("main", loss, norm) == "not finite"


def test_a_norm_is_a_spike_once_there_is_a_mean_to_hold_it_against() -> None:
    assert Guard(CONFIG).judge("main", 1.0, 1e6) == "fine"
    guard = used_to(main=2.0)
    assert guard.judge("main", 1.0, 19.0) == "fine"
    assert guard.judge("main", 1.0, 200.0) == "spike"


def test_a_spike_leaves_the_mean_as_it_was() -> None:
    guard = used_to(main=2.0)
    before = guard.memory
    guard.judge("main", 1.0, 200.0)
    assert guard.memory == before


def test_phases_are_held_against_norms_of_their_own() -> None:
    guard = used_to(generator=1.0, discriminator=100.0)
    assert guard.judge("discriminator", 1.0, 120.0) == "fine"
    assert guard.judge("generator", 1.0, 50.0) == "spike"


def test_the_mean_follows_norms_of_late_steps() -> None:
    guard = used_to(main=1.0)
    for _ in range(400):
        guard.judge("main", 1.0, 3.0)
    assert guard.memory.norms["main"].mean == pytest.approx(3.0, rel=1e-2)


def test_strikes_count_in_a_row_only() -> None:
    guard = Guard(CONFIG)
    for step in (0, 1, 3, 4):
        guard.strike(step, can_skip=True)
        if step == 1:
            guard.end_row()
    assert guard.memory.struck == (3, 4)
    with pytest.raises(RolledBack):
        guard.strike(5, can_skip=True)
    assert [step for step in range(8) if guard.leaves_out(step)] == [3, 4, 5]


def test_where_nothing_can_be_skipped_the_first_strike_sends_the_run_back() -> None:
    guard = Guard(CONFIG)
    with pytest.raises(RolledBack):
        guard.strike(7, can_skip=False)
    assert guard.leaves_out(7)


def test_a_row_of_strikes_goes_on_after_a_checkpoint_is_taken_up() -> None:
    guard = Guard(CONFIG)
    guard.recall(Memory(norms={"main": Norms(2.0, 9)}, struck=(3, 4)))
    assert guard.memory == Memory(norms={"main": Norms(2.0, 9)}, struck=(3, 4))
    with pytest.raises(RolledBack):
        guard.strike(5, can_skip=True)


def test_going_back_keeps_what_was_learnt_since_and_forgets_the_rest() -> None:
    guard = used_to(main=2.0)
    for step in (3, 4):
        guard.strike(step, can_skip=True)
    stored = guard.memory
    with pytest.raises(RolledBack):
        guard.strike(5, can_skip=True)
    guard.judge("main", 1.0, 3.0)
    guard.recall(stored)
    assert guard.memory == Memory(norms=stored.norms, left_out=(3, 4, 5), num_rollbacks=1)


def test_a_run_that_has_gone_back_as_often_as_it_may_gives_up_and_names_the_steps() -> None:
    guard = Guard(GuardConfig(strikes=2, rollbacks=0))
    guard.strike(8, can_skip=True)
    with pytest.raises(Diverged, match="steps 8, 9 struck after 0 returns"):
        guard.strike(9, can_skip=True)
