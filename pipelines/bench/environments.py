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
    listed = PEERS_DIR / f"{name}.txt"
    digest = hashlib.sha256(listed.read_bytes()).hexdigest()
    home = cache_dir / "bench-envs" / name
    python, done = home / "bin" / "python", home / ".installed"
    if done.exists() and done.read_text() == digest:
        return python
    logger.info("installing", extra={"peer": name, "place": str(home)})
    _call([sys.executable, "-m", "venv", "--clear", str(home)], name)
    _call([str(python), "-m", "pip", "install", "-q", "--compile", "-r", str(listed)], name)
    done.write_text(digest)
    return python


def _call(command: list[str], name: str) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        said = (finished.stderr or finished.stdout).strip().splitlines()[-1:] or ["nothing"]
        raise UserError(f"the environment of {name} could not be made: {said[0]}; try again, or --quick, which has no peers")
