"""The story of a run, told by several."""

from pathlib import Path

from train.events import Events, num_attempts


def test_events_of_all_writers_are_one_story(tmp_path: Path):
    driver, worker = Events(tmp_path, writer="driver"), Events(tmp_path, writer="rank-0")
    worker.write("started", num_workers=2)
    driver.write("worker died", rank=1, problem="killed")
    worker.write("resumed", step=20)
    driver.write("finished")
    told = driver.all()
    assert [event.kind for event in told] == ["started", "worker died", "resumed", "finished"]
    assert [event.facts for event in told][:3] == [{"num_workers": 2}, {"rank": 1, "problem": "killed"}, {"step": 20}]
    assert num_attempts(told) == 2
    worker.write("rolled back", step=30)
    worker.write("resumed", step=20)
    assert num_attempts(worker.all()) == 2


def test_a_line_being_written_is_left_for_later(tmp_path: Path):
    events = Events(tmp_path, writer="driver")
    events.write("started")
    with (tmp_path / "events" / "rank-0.jsonl").open("w") as file:
        file.write('{"time": "2026-01-0')
    assert [event.kind for event in events.all()] == ["started"]


def test_a_run_that_has_not_begun_has_no_events(tmp_path: Path):
    assert Events(tmp_path, writer="driver").all() == []
