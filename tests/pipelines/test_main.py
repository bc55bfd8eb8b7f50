import errno
import sys
from types import ModuleType

import pytest
import yaml
from pydantic import BaseModel

import pipelines.__main__ as command_line
from infra.errors import UserError
from pipelines.__main__ import JOBS, Job, main
from pipelines.job import Work, run_job


class Config(BaseModel, frozen=True, extra="forbid"):
    rows: int
    name: str = "tiny"


def default(workspace) -> Config:
    """Three rows."""
    return Config(rows=3)


def run(config: Config, session) -> object:
    errors = {
        "user": UserError("table x is missing,\n  run ingest"),
        "full": OSError(errno.ENOSPC, "No space left"),
        "stop": KeyboardInterrupt(),
    }
    if config.name in errors:
        raise errors[config.name]
    if config.name == "defect":
        raise ValueError("not ours to explain")
    return run_job("grow", config, session, lambda _: Work(0, config.rows, 0, {"table": "t"}, {}, f"grew {config.rows} rows"))


@pytest.fixture
def grow(monkeypatch, tmp_path) -> list[str]:
    """A job of our own in the table; what comes back are the words that run it in a private workspace."""
    module = ModuleType("pipelines.grow")
    module.__dict__.update(run=run, default=default)
    monkeypatch.setitem(sys.modules, "pipelines.grow", module)
    monkeypatch.setitem(sys.modules, "pipelines.recipes.grow", module)
    monkeypatch.setitem(JOBS, "grow", Job("pipelines.grow", "grow rows"))
    return ["grow", "--root", str(tmp_path / "work")]


def test_a_job_runs_its_default_recipe_with_changed_leaves(grow, capsys, tmp_path):
    assert main([*grow, "--set", "rows=5"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "table: t\n"
    assert "grew 5 rows" in captured.err
    assert (tmp_path / "work/mlflow.db").exists()


def test_a_dry_run_of_a_training_says_what_it_takes_and_can_be_run_from_its_output(capsys, tmp_path):
    words = ["fit", "full", "--root", str(tmp_path / "work"), "--dry-run"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "# about 5.64 B parameters" in printed
    file = tmp_path / "full.yaml"
    file.write_text(printed)
    assert main(["fit", "--from", str(file), *words[2:]]) == 0
    assert capsys.readouterr().out == printed


def test_a_dry_run_prints_the_configuration_and_does_nothing(grow, capsys, tmp_path):
    assert main([*grow, "--set", "rows=5", "--dry-run"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == {"rows": 5, "name": "tiny"}
    assert not (tmp_path / "work").exists()


def test_a_saved_configuration_runs_again(grow, capsys, tmp_path):
    saved = tmp_path / "saved.yaml"
    saved.write_text("rows: 7\nname: kept\n")
    assert main([*grow, "--from", str(saved), "--dry-run"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == {"rows": 7, "name": "kept"}


def test_a_recipe_may_be_named_by_its_module(grow, capsys):
    assert main([*grow, "pipelines.grow:default", "--dry-run"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["rows"] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "rowz=5"], "did you mean 'rows'"),
        (["--set", "rows=few"], "setting rows:"),
        (["--set", "name=user"], "table x is missing, run ingest"),
        (["--set", "name=full"], "no disk space left"),
        (["no_such_recipe"], "no recipe 'no_such_recipe'"),
        (["no.such.module:recipe"], "no module 'no.such.module'"),
        (["--from", "/no/such.yaml"], "no such file"),
        (["--bananas"], "unknown argument '--bananas'"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_code_2(grow, capsys, tmp_path, words, message):
    assert main([*grow, *words]) == 2
    captured = capsys.readouterr()
    line = captured.err.splitlines()[-1]
    assert line.startswith("seedbed: ")
    assert message in line
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert list((tmp_path / "work").glob("jobs/*.json")) == []


def test_a_file_that_is_no_configuration_is_refused(grow, capsys, tmp_path):
    refused = {"rows: 1\nbananas: 2\n": "bananas: Extra inputs", "- rows": "expected a mapping", "a: [": "not a YAML file"}
    for text, message in refused.items():
        (tmp_path / "saved.yaml").write_text(text)
        assert main([*grow, "--from", str(tmp_path / "saved.yaml")]) == 2
        assert message in capsys.readouterr().err


def test_an_interruption_says_how_to_go_on(grow, capsys):
    assert main([*grow, "--set", "name=stop"]) == 130
    assert "goes on where it was" in capsys.readouterr().err


def test_a_defect_of_ours_keeps_its_traceback(grow):
    with pytest.raises(ValueError, match="not ours to explain"):
        main([*grow, "--set", "name=defect"])


def test_an_error_of_ours_is_found_below_what_ray_wraps_it_in():
    cause = UserError("table x is missing")
    wrapped = ValueError("task failed")
    wrapped.cause = cause  # pyright: ignore[reportAttributeAccessIssue] (as ray.exceptions.RayTaskError has it)
    assert command_line._for_the_user(wrapped) == "table x is missing"
    assert command_line._for_the_user(ValueError("numpy's")) is None


def test_a_misspelt_job_is_corrected(capsys):
    assert main(["ingset"]) == 2
    assert "did you mean 'ingest'" in capsys.readouterr().err


def test_source_is_sugar_for_ingest_alone(capsys):
    assert command_line._source("folder:/data/my pictures") == {"kind": "folder", "path": "/data/my pictures"}
    assert command_line._source("emoji") == {"kind": "emoji"}
    assert command_line._source("lance:s3://lake/t.lance") == {"kind": "lance", "path": "s3://lake/t.lance"}
    for text in ("folder:", "folder", "emoji:x", "http:x"):
        with pytest.raises(UserError, match="expected emoji, knowledge:COUNT, or one of folder:PATH"):
            command_line._source(text)


def test_the_help_of_a_job_lists_its_recipes(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["ingest", "--help"])
    assert stopped.value.code == 0
    assert "--source" in capsys.readouterr().out
