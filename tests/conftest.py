"""What tests share: one Ray for the whole run, and sessions in throw-away workspaces.

* ``workspace``, ``settings``: an empty local workspace.
* ``session``: a session in it that records nothing.
* ``tracked_session``: a session in it with MLflow in SQLite, as in real use.
* ``tiny_vlm``: folder of a vision-language model with random weights, real in every part.
* ``local_ray``: the one local Ray of the test run; ask for it beside a session whose job needs Ray. Tests are not shipped to its
  workers, so a task that a test makes up is a function nested in that test (those travel by value).
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"       # Ray would look at how pytest was started
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("LANCE_LOG", "error")

from infra.session import Session, start_ray
from infra.settings import Settings
from infra.storage import Workspace
from infra.tracking import Tracker
from infra.untracked import NullTracker

LOGICAL_CPUS = 8

hypothesis_settings.register_profile("seedbed", deadline=None)      # neighbours on the machine decide how long an example takes
hypothesis_settings.load_profile("seedbed")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=str(tmp_path / "work"), cache_dir=tmp_path / "cache", logical_cpus=LOGICAL_CPUS, ship_code=True)


@pytest.fixture
def workspace(settings: Settings) -> Workspace:
    return Workspace(settings.root)


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    session = Session(settings, tracker=NullTracker())
    yield session
    session.close()


@pytest.fixture(scope="session")
def empty_mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables take seconds to create; tests start from a copy."""
    workspace = Workspace(str(tmp_path_factory.mktemp("mlflow")))
    tracker = Tracker(workspace)
    tracker.client.search_experiments()
    return workspace.local("mlflow.db")


@pytest.fixture
def tracked_session(settings: Settings, workspace: Workspace, empty_mlflow_database: Path) -> Iterator[Session]:
    workspace.local().mkdir(parents=True)
    shutil.copy(empty_mlflow_database, workspace.local("mlflow.db"))
    session = Session(settings)
    yield session
    session.close()


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    import ray

    folder = Path(tempfile.mkdtemp(prefix="sb-", dir="/tmp"))     # short: Unix sockets allow 107 characters
    start_ray(Settings(root=str(folder), cache_dir=folder, logical_cpus=LOGICAL_CPUS, ship_code=True), temp_dir=folder)
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_vlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_vlms import write_qwen2_5_vl

    return write_qwen2_5_vl(tmp_path_factory.mktemp("tiny-vlm"))
