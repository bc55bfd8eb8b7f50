import json
import shutil

import pytest
import yaml
from pydantic import BaseModel

import pipelines.job
from infra.errors import UserError
from pipelines.job import Outcome, Work, finished, run_job


class Config(BaseModel, frozen=True, extra="forbid"):
    rows: int


class Body:
    """Counts how often it ran, and makes a file."""

    def __init__(self, session) -> None:
        self.session, self.calls = session, 0

    def __call__(self, run) -> Work:
        self.calls += 1
        self.session.workspace.write_text("12345", "tables", "made.txt")
        outputs = {"table": self.session.workspace.uri("tables", "made.txt"), "version": "3"}
        return Work(rows_in=4, rows_out=3, quarantined=1, outputs=outputs, metrics={"made/score": 0.5}, note="made 3 rows")


def test_a_job_is_done_once_and_found_again(session):
    body = Body(session)
    first = run_job("make", Config(rows=1), session, body)
    again = run_job("make", Config(rows=1), session, body)
    assert body.calls == 1
    assert again == first
    assert (first.rows_in, first.rows_out, first.quarantined, first.bytes) == (4, 3, 1, 5)
    run_job("make", Config(rows=2), session, body)
    run_job("unmake", Config(rows=1), session, body)
    assert body.calls == 3


def test_the_record_and_its_configuration_lie_in_the_workspace(session):
    outcome = run_job("make", Config(rows=1), session, Body(session))
    record = session.workspace.read_text("jobs", f"make-{outcome.digest}.json")
    assert Outcome.model_validate_json(record) == outcome
    assert yaml.safe_load(session.workspace.read_text("jobs", f"make-{outcome.digest}.yaml")) == {"rows": 1}


def test_a_job_that_fails_leaves_no_record_and_runs_again(session):
    def fail(run) -> Work:
        raise UserError("the table is missing")

    with pytest.raises(UserError):
        run_job("make", Config(rows=1), session, fail)
    assert list(session.workspace.local("jobs").glob("*.json")) == []
    body = Body(session)
    run_job("make", Config(rows=1), session, body)
    assert body.calls == 1


def test_a_job_whose_output_is_gone_runs_again(session):
    body = Body(session)
    run_job("make", Config(rows=1), session, body)
    shutil.rmtree(session.workspace.local("tables"))
    run_job("make", Config(rows=1), session, body)
    assert body.calls == 2


def test_a_full_disk_is_told_before_the_job_begins(session, monkeypatch):
    monkeypatch.setattr(pipelines.job, "MIN_FREE_BYTES", 10**18)
    body = Body(session)
    with pytest.raises(UserError, match="no disk space"):
        run_job("make", Config(rows=1), session, body)
    assert body.calls == 0
    assert not session.workspace.exists()


def test_what_a_job_measured_is_in_its_run(tracked_session):
    outcome = run_job("make", Config(rows=1), tracked_session, Body(tracked_session))
    run = tracked_session.tracker.client.get_run(outcome.run_id)
    assert run.data.metrics["made/score"] == 0.5
    assert run.data.metrics["job/rows_out"] == 3
    assert run.data.tags["config.sha"] == outcome.digest
    assert run.info.status == "FINISHED"


def test_a_job_that_was_done_opens_no_run(tracked_session):
    outcome = run_job("make", Config(rows=1), tracked_session, Body(tracked_session))
    run_job("make", Config(rows=1), tracked_session, Body(tracked_session))
    tracker = tracked_session.tracker
    assert len(tracker.client.search_runs([tracker.experiment_id], "tags.stage = 'make'")) == 1
    assert json.loads(tracked_session.workspace.read_text("chain.json"))["run_id"] != outcome.run_id


def test_finished_jobs_are_found_in_the_order_they_were_done(session):
    first = run_job("make", Config(rows=2), session, Body(session))
    second = run_job("make", Config(rows=1), session, Body(session))
    assert finished("make", session.workspace) == [first, second]
    session.workspace.write_text('{"job": "make"}', "jobs", "make-0ld.json")
    assert finished("make", session.workspace) == [first, second]
    session.workspace.local("tables", "made.txt").unlink()
    assert finished("make", session.workspace) == []


def test_other_code_makes_another_job(session, monkeypatch):
    before = run_job("curate", Config(rows=1), session, Body(session))
    monkeypatch.setattr(pipelines.job, "code_digest", lambda *packages: "changed" if "curation" in packages else "same")
    assert run_job("curate", Config(rows=1), session, Body(session)).digest != before.digest
