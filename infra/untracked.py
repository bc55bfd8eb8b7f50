"""Runs that are recorded nowhere: for tests and dry runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from infra.tracking import OnDelivered, Run


class NullTracker:
    """Opens runs that forget."""

    chain_run_id = ""

    @contextmanager
    def run(self, job: str, config: BaseModel, *, digest: str) -> Iterator[Run]:  # noqa: ARG002 (the protocol's names)
        """A run that forgets."""
        yield NullRun()

    def close(self) -> None:
        """Nothing to end."""


class NullRun:
    """Accepts everything, keeps nothing."""

    id = ""

    def log_params(self, params: Mapping[str, str | int | float | bool]) -> None:
        """Forget."""

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Forget."""

    def log_series(self, rows: Sequence[tuple[int, Mapping[str, float]]], *, on_delivered: OnDelivered | None = None) -> None:
        """Forget."""

    def log_file(self, path: Path, folder: str = "") -> None:
        """Forget."""

    def log_text(self, text: str, name: str) -> None:
        """Forget."""

    def log_image(self, path: Path, key: str, *, step: int, on_delivered: OnDelivered | None = None) -> None:
        """Forget."""

    def log_table(self, ref_uri: str, version: int, context: str) -> None:
        """Forget."""

    def set_tags(self, tags: Mapping[str, str | int | float | bool]) -> None:
        """Forget."""
