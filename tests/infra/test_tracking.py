import json
import logging
import socket
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml
from PIL import Image
from pydantic import BaseModel

from infra.errors import UserError
from infra.storage import Workspace
from infra.tracking import Tracker


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


def test_pictures_lie_on_a_slider_over_the_steps(tracker, tmp_path):
    arrived: list[int] = []
    with tracker.run("fit", CONFIG, digest="d") as run:
        for step in (10, 20):
            Image.new("RGB", (8, 8), (step, 0, 0)).save(tmp_path / f"{step}.png")
            run.log_image(tmp_path / f"{step}.png", "preview", step=step, on_delivered=partial(arrived.append, step))
    assert arrived == [10, 20]
    names = [Path(each.path).name for each in tracker.client.list_artifacts(run.id, "images")]
    assert {name.split("+")[2] for name in names if name.startswith("preview+step+")} == {"10", "20"}


def test_records_made_while_the_database_is_locked_arrive_later_and_tell_when(tracker, workspace):
    arrived: list[str] = []
    with tracker.run("fit", CONFIG, digest="d") as run:
        locker = sqlite3.connect(workspace.local("mlflow.db"), isolation_level=None)
        locker.execute("BEGIN EXCLUSIVE")
        for step in range(50):
            run.log_metrics({"fit/loss": 1.0}, step=step)            # returns although nothing can be written
        run.log_series([(50, {"fit/loss": 1.0})], on_delivered=lambda: arrived.append("series"))
        assert arrived == []
        locker.execute("ROLLBACK")
        locker.close()
    assert arrived == ["series"]
    history = tracker.client.get_metric_history(run.id, "fit/loss")
    assert sorted(entry.step for entry in history) == list(range(51))


@pytest.fixture(params=["refuses", "hangs"])
def silent_server(request, monkeypatch) -> Iterator[str]:
    """Address of a server that refuses connections, or accepts them and never answers."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if request.param == "hangs":
            listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_run_that_was_broken_off_goes_on_without_its_server(silent_server, workspace, caplog):
    arrived: list[str] = []
    tracker = Tracker(workspace, tracking_uri=silent_server, patience_s=0.5)
    workspace.write_text(json.dumps({"run_id": "known", "tracking_uri": silent_server}), "jobs", "fit-d.run")
    with caplog.at_level(logging.WARNING), tracker.run("fit", CONFIG, digest="d") as run:
        run.log_series([(step, {"fit/loss": 1.0}) for step in range(100)], on_delivered=lambda: arrived.append("series"))
        assert run.id == "known"
    (warning,) = [record for record in caplog.records if record.getMessage() == "not all of a run is recorded"]
    said = vars(warning)
    assert said["num_deliveries"] == 3                               # the configuration, the series and the end
    assert said["server"] == silent_server
    assert arrived == []


def test_a_first_run_without_a_server_is_refused(silent_server, workspace):
    tracker = Tracker(workspace, tracking_uri=silent_server)
    refused = pytest.raises(UserError, match=f"no MLflow answers at {silent_server} .*; start it, or correct or unset")
    with refused, tracker.run("fit", CONFIG, digest="d"):
        pass


def test_a_run_that_is_gone_from_the_server_is_begun_anew(tracker, workspace):
    workspace.write_text(json.dumps({"run_id": "0" * 32, "tracking_uri": tracker.uri}), "jobs", "fit-d.run")
    with tracker.run("fit", CONFIG, digest="d") as run:
        assert run.id != "0" * 32


def test_a_remote_workspace_needs_a_server():
    with pytest.raises(UserError, match="set MLFLOW_TRACKING_URI"):
        _ = Tracker(Workspace("s3://lake/work")).uri
