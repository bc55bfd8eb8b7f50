import socket
from pathlib import Path

import pytest
import yaml

from pipelines.__main__ import EXIT_USER_ERROR, main


@pytest.fixture
def saved(tiny_generator: Path, tmp_path: Path) -> Path:
    config = {
        "bundle": str(tiny_generator), "port": 0, "num_replicas": 1, "cpus_per_replica": 1, "max_batch_images": 8,
        "wait_ms": 20, "max_queued_images": 32, "timeout_s": 60,
    }  # fmt: skip
    file = tmp_path / "serve.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


def test_a_port_in_use_is_one_line_and_exit_code_2(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        code = main(["serve", "--from", str(saved), "--port", port, "--root", str(tmp_path / "work")])
    assert code == EXIT_USER_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"seedbed: cannot listen on 127.0.0.1 port {port} (Address already in use); choose another with --port"
    assert not (tmp_path / "work").exists()


def test_a_missing_bundle_is_one_line_and_exit_code_2(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["serve", "--from", str(saved), "--set", f"bundle={tmp_path}/none", "--root", str(tmp_path / "work")]
    assert main(arguments) == EXIT_USER_ERROR
    assert f"no bundle at {tmp_path}/none" in capsys.readouterr().err
