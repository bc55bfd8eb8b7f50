"""Counters are read where Prometheus would read them."""

import time
import urllib.error
import urllib.request

import pytest

WAIT_S = 60


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_what_a_worker_counts_is_served_by_ray() -> None:
    import ray

    def work() -> None:
        from curation.counters import Counters

        counters = Counters()
        for _ in range(2):
            counters.count(rows={"only_here": 3, "idle_here": 0}, failed={"only_here": 1}, cpu_s={"only_here": 0.25})

    ray.get(ray.remote(work).remote())
    (node,) = ray.nodes()
    served = _served(
        f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics", until="ray_seedbed_cpu_seconds_total{"
    )
    found = {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in served if 'stage="only_here"' in line}
    assert found == {"ray_seedbed_rows_total": 6, "ray_seedbed_failed_rows_total": 2, "ray_seedbed_cpu_seconds_total": 0.5}
    assert not [line for line in served if 'stage="idle_here"' in line]


def _served(url: str, *, until: str) -> list[str]:
    """Lines of the endpoint, asked again until one of them begins so: workers report every few seconds."""
    ends = time.monotonic() + WAIT_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except urllib.error.URLError:
            lines = []
        if any(line.startswith(until) for line in lines):
            return lines
        assert time.monotonic() < ends, f"nothing served at {url} after {WAIT_S} s"
        time.sleep(0.5)
