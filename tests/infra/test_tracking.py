from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from infra.errors import UserError
from infra.storage import Workspace
from infra.tracking import Tracker, attach


class Config(BaseModel, frozen=True):
    seed: int
    size: int


CONFIG = Config(seed=7, size=3)


@pytest.fixture
def tracker(tracked_session) -> Tracker:
    return tracked_session.tracker


def test_jobs_are_children_of_one_chain_run(tracker):
    with tracker.run("ingest", CONFIG, digest="d1") as first, tracker.run("curate", CONFIG, digest="d2") as second:
        pass
    runs = [tracker.client.get_run(run.id) for run in (first, second)]
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {tracker.chain_run_id}
    assert [run.data.tags["stage"] for run in runs] == ["ingest", "curate"]
    assert runs[0].data.tags["config.sha"] == "d1"
    assert runs[0].data.tags["seed"] == "7"
    assert runs[0].info.status == "FINISHED"


def test_the_chain_run_is_found_again(tracker, workspace):
    first = tracker.chain_run_id
    tracker.close()
    assert tracker.client.get_run(first).info.status == "FINISHED"
    assert Tracker(workspace).chain_run_id == first
    assert tracker.client.get_run(first).info.status == "RUNNING"


def test_a_job_that_was_broken_off_goes_on_in_its_run(tracker):
    with pytest.raises(ZeroDivisionError), tracker.run("fit", CONFIG, digest="d") as failed:
        raise ZeroDivisionError
    assert tracker.client.get_run(failed.id).info.status == "FAILED"
    with pytest.raises(KeyboardInterrupt), tracker.run("fit", CONFIG, digest="d") as killed:
        raise KeyboardInterrupt
    assert killed.id == failed.id
    assert tracker.client.get_run(killed.id).info.status == "KILLED"
    with tracker.run("fit", CONFIG, digest="d") as done:
        assert tracker.client.get_run(done.id).info.status == "RUNNING"
    assert done.id == failed.id
    with tracker.run("fit", CONFIG, digest="d") as again, tracker.run("fit", CONFIG, digest="other") as other:
        pass
    assert len({done.id, again.id, other.id}) == 3


def test_a_run_keeps_numbers_settings_files_and_tables(tracker, tmp_path):
    file = tmp_path / "grid.txt"
    file.write_text("grid")
    with tracker.run("evaluate", CONFIG, digest="d") as run:
        run.log_series([(step, {"fit/loss": 1 / (step + 1)}) for step in range(2500)])
        run.log_metrics({"eval/score": 0.5}, step=3)
        run.log_params({"steps": 10})
        run.set_tags({"bundle": "abc"})
        run.log_file(file, "grids")
        run.log_table("/work/tables/images.lance", 4, "input")
    stored = tracker.client.get_run(run.id)
    history = tracker.client.get_metric_history(run.id, "fit/loss")
    assert sorted(entry.step for entry in history) == list(range(2500))
    assert stored.data.metrics["eval/score"] == 0.5
    assert stored.data.params == {"steps": "10"}
    assert stored.data.tags["bundle"] == "abc"
    assert stored.data.tags["table.input.images"] == "/work/tables/images.lance@4"
    assert stored.inputs.dataset_inputs[0].dataset.digest == "v4"
    assert [each.path for each in tracker.client.list_artifacts(run.id, "grids")] == ["grids/grid.txt"]
    config = tracker.client.download_artifacts(run.id, "config.yaml", str(tmp_path))
    assert yaml.safe_load(Path(config).read_text()) == {"seed": 7, "size": 3}


def test_a_worker_writes_into_the_run_it_is_told(tracker):
    with tracker.run("fit", CONFIG, digest="d") as run:
        attach(tracker.uri, run.id).log_metrics({"fit/loss": 0.25}, step=1)
    assert tracker.client.get_run(run.id).data.metrics["fit/loss"] == 0.25


def test_a_remote_workspace_needs_a_server():
    with pytest.raises(UserError, match="set MLFLOW_TRACKING_URI"):
        _ = Tracker(Workspace("s3://lake/work")).uri
