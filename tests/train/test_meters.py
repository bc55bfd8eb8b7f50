"""The record of a curve."""

from pathlib import Path

from train.meters import MeterFile, Reading, readings


def test_resuming_cuts_away_what_will_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "meters.jsonl"
    first = MeterFile(path, num_steps_done=0)
    for step in (1, 2, 3):
        first.write(Reading(step, {"loss": 1 / step}))
    first.close()
    second = MeterFile(path, num_steps_done=2)
    second.write(Reading(3, {"loss": 0.25}))
    second.close()
    assert [(reading.step, reading.values["loss"]) for reading in readings(path)] == [(1, 1.0), (2, 0.5), (3, 0.25)]


def test_a_line_being_written_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "meters.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert [reading.step for reading in readings(path)] == [1]
    assert not list(readings(path, after=1))
