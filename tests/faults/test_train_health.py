"""Nodes that are slow or broken are found before a run and take no worker."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("health_on_four_nodes.py")


@pytest.mark.ray
@pytest.mark.slow
def test_a_slow_and_a_broken_node_are_left_out_by_name() -> None:
    finished = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-4000:]
    found = json.loads(finished.stdout.splitlines()[-1])
    assert set(found["unfit"]) == {found["slow"], found["broken"]}
    assert found["unfit"][found["slow"]] == "matmul 50.0 GFLOP/s, 50% of the nodes' median, at least 80% wanted"
    assert "not-there" in found["unfit"][found["broken"]]
    assert set(found["placed"]) == set(found["fit"])
    assert found["sums"] == [True, True]
    assert max(map(abs, found["offsets_s"])) < 1.0
