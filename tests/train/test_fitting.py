"""A whole run in this process: it learns, and slots change nothing but rounding. Faults are in tests/faults/test_train.py."""

from pathlib import Path

import pytest
from run_fit import work
from tiny_fit import changed, losses, of_steps, prepare, tiny_fit


def test_it_learns(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "run", changed(of_steps(tiny_fit(tmp_path), 200), checkpoint={"every_steps": 100}))
    work(0, 1, tmp_path, [folder])
    curve = [loss for _, loss in losses(folder)]
    assert sum(curve[-40:]) < 0.8 * sum(curve[:40])


def test_one_slot_and_two_give_the_same_curve_up_to_rounding(tmp_path: Path) -> None:
    config = tiny_fit(tmp_path)
    two, one = prepare(tmp_path / "two", config), prepare(tmp_path / "one", changed(config, plan={"num_slots": 1}))
    work(0, 1, tmp_path, [two, one])
    for (_, loss), (_, same) in zip(losses(two), losses(one), strict=True):
        assert loss == pytest.approx(same, rel=1e-4)
