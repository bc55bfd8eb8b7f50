import socket

import pytest

from infra.errors import UserError
from infra.settings import Settings
from pipelines import doctor
from pipelines.doctor import Finding


def test_other_versions_than_tested_are_named(tmp_path):
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("pydantic==0.1\nno-such-package==1.0\n")
    finding = doctor.check_packages(constraints)
    assert finding.level == "warn"
    assert "pydantic" in finding.text
    assert "tested: 0.1" in finding.text
    assert "no-such-package" not in finding.text


def test_a_missing_package_fails(tmp_path, monkeypatch):
    constraints = tmp_path / "constraints.txt"
    constraints.touch()
    monkeypatch.setattr(doctor, "_requirements", lambda: ["no-such-package"])
    assert doctor.check_packages(constraints) == Finding("fail", "missing: no-such-package; run `make setup`")


def test_requirements_are_bare_names():
    names = doctor._requirements()
    assert {"ray", "torch", "pyyaml", "efficientnet-lite-pytorch"} <= set(names)
    assert "pytest" not in names


def test_a_port_in_use_is_a_warning():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert doctor.check_port(port).level == "warn"
    assert doctor.check_port(port).level == "ok"


def test_too_little_disk_space_fails(settings: Settings, monkeypatch):
    assert doctor.check_disk(settings).level == "ok"
    monkeypatch.setattr(doctor, "_DISK_BYTES", 10**18)
    assert doctor.check_disk(settings).level == "fail"


def test_the_weights_are_where_their_packages_put_them(monkeypatch):
    assert doctor.check_weights().level == "ok"
    monkeypatch.setattr(doctor, "_WEIGHTS", {"pydantic": ".safetensors"})
    assert "without its .safetensors files" in doctor.check_weights().text


def test_model_libraries_import_through_the_shim_or_with_operators():
    assert doctor.check_model_libraries().level == "ok"


def test_one_failed_check_makes_the_exit_code_2(settings, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "check_ray", lambda _: Finding("fail", "no answer"))
    assert doctor.command([], settings) == 2
    out = capsys.readouterr().out
    assert "fail  ray          no answer" in out
    assert "1 of 9 checks failed" in out


@pytest.mark.ray
def test_a_worker_answers_with_our_code(local_ray, settings):
    assert doctor.check_ray(settings).level == "ok"


def test_arguments_are_refused(settings):
    with pytest.raises(UserError, match="unknown argument '--fix'"):
        doctor.command(["--fix"], settings)
