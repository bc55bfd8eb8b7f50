"""Courses of the rates."""

from itertools import pairwise

import pytest

from train.schedule import Constant, Cosine, Linear, Schedule, WarmupStableDecay, rate_factor

NUM_STEPS = 100
COURSES: list[Schedule] = [
    Constant(warmup_steps=10),
    Linear(warmup_steps=10, final_share=0.1),
    Cosine(warmup_steps=10, final_share=0.1),
    WarmupStableDecay(warmup_steps=10, decay_steps=20, final_share=0.1),
]


def factors(schedule: Schedule) -> list[float]:
    return [rate_factor(schedule, step, num_steps=NUM_STEPS) for step in range(NUM_STEPS + 1)]


@pytest.mark.parametrize("schedule", COURSES, ids=lambda schedule: schedule.kind)
def test_rates_rise_in_the_warm_up_and_never_afterwards(schedule: Schedule) -> None:
    course = factors(schedule)
    assert course[0] == pytest.approx(0.1)
    assert all(later > earlier for earlier, later in pairwise(course[:10]))
    assert all(later <= earlier for earlier, later in pairwise(course[9:]))
    assert course[-1] == pytest.approx(1.0 if schedule.kind == "constant" else 0.1)


def test_without_a_warm_up_the_first_step_has_the_peak_rate() -> None:
    assert rate_factor(Constant(warmup_steps=0), 0, num_steps=NUM_STEPS) == 1.0


def test_half_way_each_course_is_where_its_name_says() -> None:
    half = {schedule.kind: factors(schedule)[50] for schedule in COURSES}
    assert half == pytest.approx({"constant": 1.0, "linear": 0.55, "cosine": 0.55, "wsd": 1.0})
    quarter = {schedule.kind: factors(schedule)[25] for schedule in COURSES}
    assert quarter["cosine"] == pytest.approx(0.1 + 0.9 * (1 + 0.5**0.5) / 2)
    assert factors(COURSES[3])[90] == pytest.approx(0.55)
