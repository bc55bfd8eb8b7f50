"""The whole chain on a handful of pictures: real Ray, real Lance, real MLflow in SQLite, real Serve over HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from curation.tables import TableRef, open_table
from infra.session import Session
from infra.settings import Settings
from infra.storage import Workspace
from pipelines import demo
from pipelines.lineage import trace_picture
from pipelines.recipes.demo import smoke

pytestmark = pytest.mark.ray  # not marked slow: the chain belongs to the default run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, local_ray: None) -> Path:
    """A workspace in which the chain has run once."""
    root = tmp_path_factory.mktemp("chain") / "work"
    run_chain(root)
    return root


def run_chain(root: Path) -> None:
    session = Session(Settings(root=str(root), cache_dir=root.parent / "cache", logical_cpus=8, ship_code=True))
    try:
        demo.run(smoke(session.workspace), session)
    finally:
        session.close()


@pytest.fixture
def summary(root: Path) -> dict:
    return json.loads((root / "summary.json").read_text())


@pytest.fixture
def mlflow_runs(root: Path) -> Iterator[list]:
    session = Session(Settings(root=str(root), cache_dir=root.parent / "cache", logical_cpus=8, ship_code=True))
    yield list(session.tracker.client.search_runs([session.tracker.experiment_id], max_results=100))  # pyright: ignore[reportAttributeAccessIssue]  a real tracker
    session.close()


def test_it_leaves_a_report_and_a_summary(root: Path, summary: dict) -> None:
    assert [stage["name"] for stage in summary["stages"]] == [
        "ingest", "curate", "caption", "pairs", "select", "fit autoencoder", "fit contrastive", "encode", "fit text",
        "fit generator", "compare", "evaluate", "promote", "visit",
    ]  # fmt: skip
    assert all(stage["rows_out"] > 0 for stage in summary["stages"])
    for task in ("t2i", "edit", "compose"):
        assert summary["samples"][task]
        assert all(Path(place).read_bytes().startswith(b"\x89PNG") for place in summary["samples"][task])
    own = "eval/retrieval_r1/t2i"
    assert {own, f"{own}/beside", f"{own}/nearest"} <= summary["comparison"].keys()
    page = (root / "report.html").read_text()
    assert "Beside another model" in page
    assert page.startswith("<!doctype html>")
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://127.0.0.1", "")


def test_every_selected_picture_has_a_latent_at_the_pinned_version(summary: dict) -> None:
    table = open_table(TableRef(uri=summary["table"], version=summary["version"]))
    assert table.count_rows("latent IS NOT NULL") > 0
    assert table.count_rows("verdict IS NULL") == 0


def test_each_job_is_one_finished_run_of_one_tree(summary: dict, mlflow_runs: list) -> None:
    children = [run for run in mlflow_runs if run.data.tags.get("mlflow.parentRunId") == summary["mlflow_run_id"]]
    assert len(children) == len(summary["stages"])
    assert {run.info.status for run in children} == {"FINISHED"}


def test_a_second_run_does_no_stage_again(root: Path, summary: dict) -> None:
    before = {path: path.stat().st_mtime_ns for path in (root / "jobs").iterdir()}
    run_chain(root)
    assert {path: path.stat().st_mtime_ns for path in (root / "jobs").iterdir()} == before
    assert json.loads((root / "summary.json").read_text()) == summary


def test_from_a_served_picture_one_can_walk_back_to_source_rows(root: Path, summary: dict) -> None:
    lineage = trace_picture(Path(summary["samples"]["t2i"][0]), Workspace(str(root)))
    assert lineage.bundle.folder == summary["bundle"]
    assert lineage.bundle.parents
    assert lineage.bundle.evidence is not None
    assert {row.licence for row in lineage.bundle.evidence.rows} <= {"CC-BY-4.0", "CC-BY-SA-4.0"}
