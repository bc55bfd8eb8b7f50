"""Environments of the peers: each has one of its own, made on first use from pinned versions and kept in the cache.

Bytecode is compiled at installation, so that no measured run pays for it.
"""

import hashlib
import logging
import subprocess
import sys
from pathlib import Path

from infra.errors import UserError

logger = logging.getLogger(__name__)

PEERS_DIR = Path(__file__).parent / "peers"
"""Beside each peer's programs lies ``NAME.txt``, all of its packages at their versions."""


def peer_python(name: str, cache_dir: Path) -> Path:
    """The Python of a peer's environment, which is made when it is not there yet or its list of packages has changed.

    Raises:
        UserError: a package could not be installed.
    """
    if (installed := installed_python(name, cache_dir)) is not None:
        return installed
    home = _home(name, cache_dir)
    logger.info("installing", extra={"peer": name, "place": str(home)})
    _call([sys.executable, "-m", "venv", "--clear", str(home)], name)
    python = home / "bin" / "python"
    _call([str(python), "-m", "pip", "install", "-q", "--compile", "-r", str(_listed(name))], name)
    (home / _DONE).write_text(_digest(name))
    return python


def installed_python(name: str, cache_dir: Path) -> Path | None:
    """The Python of a peer's environment, None when it is not there yet or its list of packages has changed."""
    home = _home(name, cache_dir)
    done = home / _DONE
    return home / "bin" / "python" if done.exists() and done.read_text() == _digest(name) else None


_DONE = ".installed"


def _home(name: str, cache_dir: Path) -> Path:
    return cache_dir / "bench-envs" / name


def _listed(name: str) -> Path:
    return PEERS_DIR / f"{name}.txt"


def _digest(name: str) -> str:
    return hashlib.sha256(_listed(name).read_bytes()).hexdigest()


def packages_of(name: str, cache_dir: Path) -> str:
    """The folder of packages in a peer's environment, for programs that need ours beside them.

    Raises:
        UserError: see `peer_python`.
    """
    (folder,) = peer_python(name, cache_dir).parent.parent.glob("lib/python*/site-packages")
    return str(folder)


def _call(command: list[str], name: str) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        said = (finished.stderr or finished.stdout).strip().splitlines()[-1:] or ["nothing"]
        raise UserError(f"the environment of {name} could not be made: {said[0]}; try again, or --quick, which has no peers")
