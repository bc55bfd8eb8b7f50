"""Promises of the ``seedbed`` command that no single module can keep alone."""

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import get_type_hints

import pytest
from pydantic import BaseModel

from pipelines.__main__ import JOBS, help_text

HEAVY = ("torch", "ray", "mlflow", "lance", "pyarrow", "transformers", "pydantic", "rich")


def test_the_help_fits_a_terminal_of_24_by_80():
    lines = help_text().splitlines()
    assert len(lines) <= 23                     # the prompt needs one
    assert max(map(len, lines)) <= 80


def test_the_help_shows_the_jobs_in_the_order_of_the_chain():
    text = help_text()
    chain = ["ingest", "curate", "caption", "pairs", "select", "fit", "encode", "evaluate", "promote", "serve", "demo"]
    places = [text.index(f"\n  {name}") for name in chain]
    assert places == sorted(places)


def test_the_help_imports_nothing_heavy():
    show_help = "import sys; from pipelines.__main__ import main; main(['--help'])"
    code = f"{show_help}; print([name for name in {HEAVY} if name in sys.modules])"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", JOBS)
def test_every_job_of_the_table_is_there_and_has_the_common_form(name):
    job = JOBS[name]
    assert find_spec(job.module) is not None
    module = import_module(job.module)
    if job.is_command:
        assert callable(module.command)
        return
    config = get_type_hints(module.run)["config"]
    assert issubclass(config, BaseModel)
    assert config.model_config.get("frozen")
    assert config.model_config.get("extra") == "forbid"
