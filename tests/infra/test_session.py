import subprocess
import sys
from pathlib import Path

import pytest

from infra import session as session_module
from infra.errors import UserError
from infra.packages import PACKAGES
from infra.session import ForeignPackage, Session, require_first_party
from infra.settings import CODE_ROOT, Settings
from infra.untracked import NullTracker


def test_the_guard_passes_on_our_own_code():
    require_first_party()


def test_a_foreign_package_under_one_of_our_names_is_refused(tmp_path):
    """As in an environment where another distribution owns ``models`` and the working directory is elsewhere."""
    foreign = tmp_path / "models" / "__init__.py"
    foreign.parent.mkdir()
    foreign.touch()
    paths = [str(tmp_path), str(CODE_ROOT)]
    code = f"import sys; sys.path[:0] = {paths}; from infra.session import require_first_party; require_first_party()"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert finished.returncode == 1
    assert f"import 'models' resolves to {foreign}" in finished.stderr


def test_the_guard_names_what_is_missing(monkeypatch):
    monkeypatch.setattr(session_module, "PACKAGES", ("no_such_package_of_ours",))
    with pytest.raises(ForeignPackage, match="'no_such_package_of_ours' resolves to None"):
        require_first_party()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
        ("ray://127.0.0.1:1", "no Ray cluster answers"),
        ("over there", "is not like host:port"),
    ],
)
def test_an_address_where_nobody_answers_is_a_user_error(settings, address, message):
    if _ray_is_up():
        pytest.skip("this process has the tests' own Ray already; the case needs a process without")
    lonely = Session(Settings(**{**settings.model_dump(), "address": address}), tracker=NullTracker())
    with pytest.raises(UserError, match=message):
        lonely.start_ray()


@pytest.mark.ray
def test_workers_run_our_shipped_code_behind_the_guard(local_ray, session):
    import ray

    session.start_ray()                     # joins the Ray that is there
    session.close()                         # and leaves it running, since somebody else started it
    assert ray.is_initialized()

    def look_around() -> tuple[Path, bool, set[str]]:
        import logging

        from infra.logs import EventFormatter
        from infra.settings import CODE_ROOT

        hooked = any(isinstance(handler.formatter, EventFormatter) for handler in logging.getLogger().handlers)
        return CODE_ROOT, hooked, {path.name for path in CODE_ROOT.iterdir() if path.is_dir()}

    root, hooked, folders = ray.get(ray.remote(look_around).remote())
    assert root != CODE_ROOT
    assert hooked
    assert set(PACKAGES) <= folders
    assert not {"tests", "runs", ".venv", ".git"} & folders


@pytest.mark.ray
def test_torchvision_works_in_a_worker_once_models_is_imported(local_ray):
    import ray

    def resize() -> tuple[int, ...]:
        from importlib import import_module

        import_module("models")
        transforms = import_module("torchvision.transforms.v2.functional")
        torch = import_module("torch")
        return tuple(transforms.resize(torch.zeros(3, 8, 8), [4, 4]).shape)

    assert ray.get(ray.remote(resize).remote()) == (3, 4, 4)


def _ray_is_up() -> bool:
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()
