"""Benchmarks: one file each, ours beside its peers in the same run. ``seedbed bench NAME [--json FILE] [--quick]``."""

from pipelines.bench.command import command

__all__ = ["command"]
