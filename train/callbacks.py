"""What Ray Train's controller is told to do beside running workers.

A module of its own, and light: the controller is a process that would else import every network to read two callbacks.
"""

from pathlib import Path

from ray.train import UserCallback
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.train.v2._internal.execution.context import TrainRunContext
from ray.train.v2._internal.execution.worker_group import WorkerGroup

from infra.errors import one_line_with_type
from train import stopping
from train.events import Events

_PROBLEM_CHARACTERS = 500


class Listen(WorkerGroupCallback):
    """Lets workers hear SIGTERM: only their main thread, where Ray runs this, may say so, and training runs in another."""

    def after_worker_group_start(self, worker_group: WorkerGroup) -> None:
        """Ray calls it once the workers are there."""
        worker_group.execute(stopping.listen)


class Tell(UserCallback):
    """Notes in the run's events which workers died of what."""

    def __init__(self, folder: Path) -> None:
        self._events = Events(folder, writer="controller")

    def after_exception(self, run_context: TrainRunContext, worker_exceptions: dict[int, Exception]) -> None:  # noqa: ARG002  Ray's
        """Ray calls it once workers have failed."""
        for rank, error in worker_exceptions.items():
            cause = error.health_check_failure if isinstance(error, WorkerHealthCheckFailedError) else error
            self._events.write("worker died", rank=rank, problem=one_line_with_type(cause, max_characters=_PROBLEM_CHARACTERS))
