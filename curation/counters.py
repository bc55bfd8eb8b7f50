"""What workers are computing, as counters on Ray's own Prometheus endpoint: visible while a job runs, on any cluster."""

from collections.abc import Mapping


class Counters:
    """Rows, failed rows and CPU seconds by stage ("read", "decode", or a signal); made inside a worker.

    They appear as ``ray_seedbed_rows_total``, ``ray_seedbed_failed_rows_total`` and ``ray_seedbed_cpu_seconds_total``.
    """

    def __init__(self) -> None:
        from ray.util.metrics import Counter

        self._rows, self._failed, self._cpu_s = (
            Counter(f"seedbed_{name}", description=about, tag_keys=("stage",))
            for name, about in (
                ("rows", "rows computed"), ("failed_rows", "rows set aside"), ("cpu_seconds", "CPU time of the worker's process"),
            )
        )  # fmt: skip

    def count(self, *, rows: Mapping[str, int], failed: Mapping[str, int], cpu_s: Mapping[str, float]) -> None:
        """Add what was done, by stage."""
        for counter, values in ((self._rows, rows), (self._failed, failed), (self._cpu_s, cpu_s)):
            for stage, value in values.items():
                if value > 0:
                    counter.inc(value, tags={"stage": stage})
