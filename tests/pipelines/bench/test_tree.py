"""What a command costs: time of children, of daemons that outlive it, and memory at its highest."""

import sys
from pathlib import Path

import pytest

from pipelines.bench.tree import Spent, spent_by

BURN = "import time\nwhile time.process_time() < 0.6: pass"


def spent(code: str, tmp_path: Path) -> Spent:
    return spent_by([sys.executable, "-c", code], log=tmp_path / "log")


def test_children_count(tmp_path):
    code = f"import subprocess, sys\nfor _ in range(2): subprocess.run([sys.executable, '-c', {BURN!r}])\nprint('done')"
    found = spent(code, tmp_path)
    assert 1.2 <= found.cpu_s < 3
    assert found.exit_code == 0
    assert found.said == "done\n"


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux alone")
def test_a_daemon_that_outlives_the_command_is_ended_and_counts(tmp_path):
    daemon = f"{BURN}\ntime.sleep(60)"
    start = f"subprocess.Popen([sys.executable, '-c', {daemon!r}], start_new_session=True)"
    found = spent(f"import subprocess, sys, time\n{start}\ntime.sleep(2.5)", tmp_path)
    assert found.cpu_s >= 0.3
    assert found.wall_s < 30


def test_memory_is_that_of_all_processes_at_once(tmp_path):
    hold = "held = b'x' * 80_000_000\nimport time\ntime.sleep(1.5)"
    start = f"both = [subprocess.Popen([sys.executable, '-c', {hold!r}]) for _ in range(2)]"
    found = spent(f"import subprocess, sys\n{start}\n[one.wait() for one in both]", tmp_path)
    assert 160 < found.peak_rss_mb < 400


def test_a_command_that_fails_says_so(tmp_path):
    found = spent("raise SystemExit('no such picture')", tmp_path)
    assert found.exit_code == 1
    assert "no such picture" in found.said
