"""A decision on three nodes of which one dies in the middle is the decision of an undisturbed process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("sweep_on_three_nodes.py")


@pytest.mark.ray
@pytest.mark.slow
def test_a_node_that_is_killed_changes_no_selection() -> None:
    """Few rows here; with 10^7 it is the same program: see its docstring."""
    command = [sys.executable, str(PROGRAM), "200000", "24"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-4000:]
    found = json.loads(finished.stdout.splitlines()[-1])
    assert found["killed"] == 1
    assert found["disturbed"] == found["alone"]
    assert len({total["digest"] for total in found["alone"]}) == len(found["alone"])
    for total in found["alone"]:
        assert sum(total["counts"].values()) == found["rows"]
        assert 0 < total["counts"]["kept"] < found["rows"]
