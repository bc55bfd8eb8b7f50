"""Memory that is freed stays with the process."""

import subprocess
import sys

import pytest

from infra.settings import CODE_ROOT

_FAULTS = """
import ctypes, resource
from infra.memory import keep_freed_memory
{first}
def touch():
    ctypes.memset(ctypes.create_string_buffer(20_000_000), 1, 20_000_000)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(first: str) -> int:
    code = _FAULTS.format(first=first)
    return int(subprocess.run([sys.executable, "-c", code], cwd=CODE_ROOT, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own")
def test_pages_are_cleared_once_and_not_for_every_block() -> None:
    assert page_faults("keep_freed_memory()") * 10 < page_faults("")
