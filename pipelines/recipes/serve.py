"""Recipes of `seedbed serve`."""

from infra.storage import Workspace
from pipelines.serve.app import ServeConfig


def default(workspace: Workspace) -> ServeConfig:  # noqa: ARG001  recipes are called alike
    """The champion of the workspace, or the bundle that comes with the package, on http://127.0.0.1:8000.

    Run:      seedbed serve
    Hardware: one core
    """
    return ServeConfig(
        port=8000, num_replicas=1, cpus_per_replica=1, max_batch_images=8, wait_ms=20, max_queued_images=64, timeout_s=120
    )
