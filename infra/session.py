"""A session: the workspace, the tracker, the display and, once a job has work for it, Ray.

The only caller of `ray.init`. Code reaches workers by ``working_dir`` alone (`.rayignore` says what stays behind); an installed
package needs no shipping. Top-level names such as ``models`` are common, so driver and workers refuse to run when one of ours
resolves to somebody else's code: otherwise the driver could import theirs and the workers ours without a word.
"""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from infra import logs
from infra.errors import UserError
from infra.packages import PACKAGES
from infra.progress import Progress
from infra.registry import Registry
from infra.settings import CODE_ROOT, QUIET_LIBRARIES, Settings
from infra.storage import Workspace
from infra.tracking import Tracker, Tracking

logger = logging.getLogger(__name__)

_OBJECT_STORE_BYTES = 1 << 30     # pixels are read in the workers and never travel between operators
_TALKATIVE = (                    # that it uses tokens, that it leaves .git and .venv behind: as it should
    "ray._private.authentication.authentication_token_setup",
    "ray._private.runtime_env.working_dir",
)
_ANSWER_WITHIN_S = 10.0
_WORKER_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads of one worker starve those of another where cores are few
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    **QUIET_LIBRARIES,
}


class ForeignPackage(UserError):
    """One of our package names resolves to somebody else's code."""


def require_first_party() -> None:
    """Refuse to run when one of our six package names is somebody else's.

    Raises:
        ForeignPackage: names the package and where it was found.
    """
    for name in PACKAGES:
        spec = find_spec(name)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if origin is None or origin.parent.parent != CODE_ROOT:
            raise ForeignPackage(
                f"import {name!r} resolves to {origin}, expected under {CODE_ROOT}; uninstall the distribution that owns it"
            )


def worker_setup() -> None:
    """Runs in every Ray worker before its first task: the guard and the log format.

    The torchvision shim is not here: `models/__init__` applies it, and only `models` imports what needs it, so workers that never
    touch torch do not pay for importing it.
    """
    require_first_party()
    logs.setup()


class Session:
    """What a job works with. Ray starts when a job asks for it."""

    def __init__(self, settings: Settings, *, tracker: Tracking | None = None, progress: Progress | None = None) -> None:
        self.settings = settings
        self.workspace = Workspace(settings.root)
        self.tracker: Tracking = tracker or Tracker(self.workspace, tracking_uri=settings.tracking_uri)
        self.progress = progress or Progress()
        self._owns_ray = False

    @cached_property
    def registry(self) -> Registry:
        """Names of bundles; lives beside the runs, so it needs a real tracker."""
        if not isinstance(self.tracker, Tracker):
            raise UserError("this session records nothing, so it has no registry; open it with a tracker")
        return Registry(self.tracker)

    def start_ray(self) -> None:
        """Start Ray, or join the cluster of the settings; does nothing when this process has a Ray already.

        Raises:
            UserError: there is no cluster at the address.
        """
        import ray

        if ray.is_initialized():
            return
        self.progress.say("starting Ray" if self.settings.address is None else f"joining Ray at {self.settings.address}")
        start_ray(self.settings)
        self._owns_ray = True

    def close(self) -> None:
        """Stop what this session started, and only that."""
        if self._owns_ray:
            import ray

            ray.shutdown()
            self._owns_ray = False
        self.tracker.close()


@contextmanager
def open_session(settings: Settings) -> Iterator[Session]:
    """A session for the time of the block.

    Raises:
        ForeignPackage: one of our package names is somebody else's.
    """
    require_first_party()
    session = Session(settings)
    logs.setup(session.progress.console)
    try:
        yield session
    finally:
        session.close()


def runtime_env(settings: Settings) -> dict[str, str | dict[str, str]]:
    """What Ray is told about our code: guard and log format in every worker, and the checkout when it is to be shipped."""
    env: dict[str, str | dict[str, str]] = {
        "worker_process_setup_hook": "infra.session.worker_setup",
        "env_vars": _WORKER_ENVIRONMENT,
    }
    if settings.ship_code:
        env["working_dir"] = str(CODE_ROOT)
    return env


def start_ray(settings: Settings, *, temp_dir: Path | None = None) -> None:
    """Start a local Ray, or join the cluster at the settings' address; `Session.start_ray` does this when a job needs it.

    Args:
        temp_dir: where a local Ray keeps its files, Ray's own place when None. Tests give a short private one.

    Raises:
        UserError: there is no cluster at the address.
    """
    import ray

    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    if settings.address is None:
        _start_local_ray(settings, temp_dir=temp_dir)
    else:
        _require_answer(settings.address)
        ray.init(address=settings.address, runtime_env=runtime_env(settings), logging_level=logging.WARNING)
    _quiet_ray_data()


def _start_local_ray(settings: Settings, *, temp_dir: Path | None) -> None:
    import ray

    def start() -> None:
        ray.init(
            address="local",
            num_cpus=settings.logical_cpus,
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            runtime_env=runtime_env(settings),
            logging_level=logging.WARNING,
            _temp_dir=str(temp_dir) if temp_dir else None,
        )

    try:
        start()
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        logger.warning("Ray did not come up in time on a busy machine, trying once more")
        ray.shutdown()
        start()


def _require_answer(address: str) -> None:
    """Ray itself goes on trying for minutes at an address where nobody listens."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"Ray address {address!r} is not like host:port or ray://host:port; correct --address or leave it out")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_WITHIN_S).close()
    except OSError as error:
        raise UserError(f"no Ray cluster answers at {address} ({error}); check --address, or leave it out") from error


def _quiet_ray_data() -> None:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
