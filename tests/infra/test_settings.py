import pytest

from infra.errors import UserError
from infra.settings import settings_from_environment


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in ("ROOT", "CACHE", "LOGICAL_CPUS", "SHIP_CODE"):
        monkeypatch.delenv(f"SEEDBED_{name}", raising=False)
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


def test_defaults_leave_room_for_data_actors_beside_training_workers():
    settings = settings_from_environment()
    assert settings.root == "runs/work"
    assert settings.logical_cpus >= 4
    assert settings.address is None
    assert settings.ship_code


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_default(monkeypatch):
    monkeypatch.setenv("SEEDBED_ROOT", "/from/environment")
    assert settings_from_environment(default_root="runs/demo").root == "/from/environment"
    assert settings_from_environment(root="/from/flag").root == "/from/flag"


@pytest.mark.parametrize(
    ("name", "value"), [("SEEDBED_LOGICAL_CPUS", "many"), ("SEEDBED_LOGICAL_CPUS", "0"), ("SEEDBED_SHIP_CODE", "maybe")]
)
def test_a_value_that_cannot_be_understood_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"{name} is '{value}'"):
        settings_from_environment()
