"""Where a session works and on what: the only place that reads environment variables.

========================  ==========================================  =============================
variable                  meaning                                     default
========================  ==========================================  =============================
``SEEDBED_ROOT``          workspace: a folder or an object-store URI  ``runs/work``
``SEEDBED_CACHE``         rendered pictures and other caches          ``~/.cache/seedbed``
``SEEDBED_LOGICAL_CPUS``  CPUs that a local Ray believes in           twice the cores, at least 4
``SEEDBED_SHIP_CODE``     ``0``: workers have the package installed   ``1`` in a checkout, else ``0``
``MLFLOW_TRACKING_URI``   MLflow server                               SQLite inside the workspace
``RAY_ADDRESS``           Ray cluster                                 a local one for the session
========================  ==========================================  =============================
"""

import os
from pathlib import Path

from pydantic import BaseModel, Field

from infra.errors import UserError

CODE_ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds the six packages: the checkout, the copy shipped to a worker, or site-packages."""

QUIET_LIBRARIES = {"LANCE_LOG": "error"}
"""Lance warns at every commit of a column file that the operation is young; it reads this when it is imported."""


LIBRARY_DEFAULTS = {**QUIET_LIBRARIES, "MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
"""MLflow itself would wait for minutes at every call; `infra.outbox` tries again without anyone waiting."""


def set_library_defaults() -> None:
    """Set what libraries read when they are imported, unless the user has; call before anything else is imported."""
    for name, value in LIBRARY_DEFAULTS.items():
        os.environ.setdefault(name, value)


class Settings(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What one session needs to know about its surroundings."""

    root: str
    """Workspace: a local folder, or a URI that pyarrow.fs understands."""
    address: str | None = None
    """Ray cluster to join; None starts a local one."""
    tracking_uri: str | None = None
    """MLflow server or database; None keeps SQLite inside the workspace."""
    cache_dir: Path
    """Local folder for what can be made again at any time."""
    logical_cpus: int = Field(ge=1)
    """CPUs a local Ray schedules by: more than cores, as training workers and the data actors feeding them run side by side."""
    ship_code: bool
    """Send the checkout to the workers; False when they have the package installed."""


def settings_from_environment(
    *, root: str | None = None, address: str | None = None, default_root: str = "runs/work"
) -> Settings:
    """Settings from the environment, where `root` and `address` (flags of the command line) win.

    Raises:
        UserError: a variable cannot be understood.
    """
    return Settings(
        root=root or os.environ.get("SEEDBED_ROOT") or default_root,
        address=address or os.environ.get("RAY_ADDRESS") or None,
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or None,
        cache_dir=Path(os.environ.get("SEEDBED_CACHE") or "~/.cache/seedbed").expanduser(),
        logical_cpus=_whole_number("SEEDBED_LOGICAL_CPUS", default=max(4, 2 * (os.cpu_count() or 1))),
        ship_code=_yes_or_no("SEEDBED_SHIP_CODE", default=(CODE_ROOT / "pyproject.toml").is_file()),
    )


def _whole_number(name: str, *, default: int) -> int:
    text = os.environ.get(name)
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"environment variable {name} is {text!r}, expected a whole number of at least 1; correct or unset it")
    return int(text)


def _yes_or_no(name: str, *, default: bool) -> bool:
    text = os.environ.get(name)
    if not text:
        return default
    if text not in ("0", "1"):
        raise UserError(f"environment variable {name} is {text!r}, expected 0 or 1; correct or unset it")
    return text == "1"
