"""What a result was made with: code, commit, packages and machine."""

import hashlib
import platform
import shutil
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from infra.packages import PACKAGES
from infra.settings import CODE_ROOT

_REPORTED = (
    "seedbed", "torch", "ray", "pylance", "lance-ray", "mlflow", "transformers", "open-clip-torch", "timm", "numpy", "pyarrow",
)


@cache
def code_digest(*packages: str) -> str:
    """Twelve hex digits over the Python files of some of our packages, of all when none is named: path and content."""
    digest = hashlib.sha256()
    for package in packages or PACKAGES:
        for path in sorted((CODE_ROOT / package).rglob("*.py")):
            digest.update(path.relative_to(CODE_ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@cache
def git_sha() -> str:
    """The commit checked out, "" outside a repository."""
    return _output("git", "-C", str(CODE_ROOT), "rev-parse", "--verify", "-q", "HEAD")


@cache
def git_is_dirty() -> bool:
    """Whether the checkout differs from its commit."""
    return bool(_output("git", "-C", str(CODE_ROOT), "status", "--porcelain", "--untracked-files=normal"))


@cache
def hardware() -> str:
    """The machine in one line, for example "2 x Intel Xeon, 24 GiB, no GPU"."""
    gpus = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    gpu = f"{len(gpus)} x {gpus[0]}" if gpus else "no GPU"
    memory_gib = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} x {_processor_name()}, {memory_gib:.0f} GiB, {gpu}"


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on; those that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in _REPORTED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    return finished.stdout.strip() if finished.returncode == 0 else ""
