"""The record of runs, in MLflow: one root run for a workspace, one child for every job.

The only user of MLflow beside `infra.registry`. SQLite inside the workspace unless a server is given. The client is used with
explicit run ids throughout, never the fluent API: without a global active run, threads and workers cannot mix up their runs.

What a job records is delivered by a thread (`infra.outbox`): a server that goes away neither stops nor slows the job. Only a run
that is opened for the first time needs its answer, because results name the run they come from.
"""

import json
import logging
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import yaml
from pydantic import BaseModel

from infra import provenance
from infra.errors import UserError, one_line
from infra.outbox import Outbox
from infra.storage import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

logger = logging.getLogger(__name__)

EXPERIMENT = "seedbed"
PATIENCE_S = 30.0
"""How long the end of a run waits for a server that takes nothing."""

_BATCH = 1000                     # MLflow's limit of metrics in one request
_CHAIN_FILE = "chain.json"


OnDelivered = Callable[[], None]
"""Called from another thread once what was recorded has arrived; never when it is lost, or when nothing is recorded."""


class Run(Protocol):
    """What a job may record."""

    @property
    def id(self) -> str:
        """MLflow's run id, "" when nothing is recorded."""
        ...

    def log_params(self, params: Mapping[str, str | int | float | bool]) -> None:
        """Settings of the run; a value that was logged before must not change."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Numbers named ``stage/quantity_unit``."""
        ...

    def log_series(self, rows: Sequence[tuple[int, Mapping[str, float]]], *, on_delivered: OnDelivered | None = None) -> None:
        """Numbers of many steps in few requests."""
        ...

    def log_file(self, path: Path, folder: str = "") -> None:
        """Keep a copy of a local file among the run's artifacts; it must stay in its place until the run ends."""
        ...

    def log_text(self, text: str, name: str) -> None:
        """Keep a text among the run's artifacts."""
        ...

    def log_image(self, path: Path, key: str, *, step: int, on_delivered: OnDelivered | None = None) -> None:
        """Show a local picture under `key`, on a slider over the steps."""
        ...

    def log_table(self, ref_uri: str, version: int, context: str) -> None:
        """Say which table at which version went in or came out (`context`: "input", "output", "selection")."""
        ...

    def set_tags(self, tags: Mapping[str, str | int | float | bool]) -> None:
        """Short facts to find the run by."""
        ...


class Tracking(Protocol):
    """Where jobs open their runs."""

    @property
    def chain_run_id(self) -> str:
        """The root run of the workspace, "" when nothing is recorded."""
        ...

    def run(self, job: str, config: BaseModel, *, digest: str) -> AbstractContextManager[Run]:
        """A child of the chain's run for the time of the block."""
        ...

    def close(self) -> None:
        """End the chain's run, if it was used."""
        ...


class Tracker:
    """Runs in MLflow. Nothing is imported or created before the first use.

    Args:
        patience_s: how long the end of a run waits for a server that takes nothing.
    """

    def __init__(self, workspace: Workspace, *, tracking_uri: str | None = None, patience_s: float = PATIENCE_S) -> None:
        self._workspace = workspace
        self._given_uri = tracking_uri
        self._patience_s = patience_s
        self._chain_run_id: str | None = None

    @cached_property
    def uri(self) -> str:
        """The tracking URI in use.

        Raises:
            UserError: the workspace is remote and no server was given.
        """
        if self._given_uri:
            return self._given_uri
        if self._workspace.is_remote:
            raise UserError(f"workspace {self._workspace.root} is remote, so runs need an MLflow server; set MLFLOW_TRACKING_URI")
        database = self._workspace.local("mlflow.db")
        if not database.exists():
            _create_database(database)
        return f"sqlite:///{database}"

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's client for `uri`."""
        return _client(self.uri)

    @cached_property
    def experiment_id(self) -> str:
        """The experiment all runs belong to, created on first use."""
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return found.experiment_id
        place = None if self._given_uri else self._workspace.local("mlartifacts").as_uri()
        return self.client.create_experiment(EXPERIMENT, artifact_location=place)

    @property
    def chain_run_id(self) -> str:
        """The root run of this workspace, remembered in ``chain.json``."""
        if self._chain_run_id is None:
            self._chain_run_id = self._open_chain()
        return self._chain_run_id

    @contextmanager
    def run(self, job: str, config: BaseModel, *, digest: str) -> Iterator[Run]:
        """A child of the chain's run for the time of the block; a job that was broken off goes on in the run it had.

        The run ends as FINISHED, FAILED (an exception) or KILLED (interrupted). What could not be delivered is said then.

        Raises:
            UserError: the server does not answer, and there is no run to go on in.
        """
        run_id = self._reopened(job, digest) or self._create(job, config, digest=digest)
        outbox = Outbox(may_succeed_later=_may_succeed_later)
        run = MlflowRun(self.client, run_id, deliver=outbox.put)
        status = "FAILED"
        try:
            run.log_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True), "config.yaml")
            yield run
            status = "FINISHED"
            self._workspace.delete(*_memory_of(job, digest))
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            outbox.put(partial(self.client.set_terminated, run_id, status=status))
            lost = outbox.close(patience_s=self._patience_s)
            if lost is not None:
                logger.warning("not all of a run is recorded", extra={"run": run_id, "server": self.uri, **lost._asdict()})

    def close(self) -> None:
        """End the chain's run, if it was used."""
        from mlflow.exceptions import MlflowException

        if self._chain_run_id is not None:
            try:
                self.client.set_terminated(self._chain_run_id, status="FINISHED")
            except MlflowException as error:
                logger.warning("the chain's run stays open", extra={"server": self.uri, "problem": one_line(error)})
            self._chain_run_id = None

    def _open_chain(self) -> str:
        remembered = self._remembered_chain()
        if remembered is not None:
            self.client.update_run(remembered, status="RUNNING")
            return remembered
        tags = {"stage": "chain", "workspace": self._workspace.root, **_provenance_tags()}
        run = self.client.create_run(self.experiment_id, tags=tags, run_name=f"chain {Path(self._workspace.root).name}")
        record = {"run_id": run.info.run_id, "tracking_uri": self.uri}
        self._workspace.write_text(json.dumps(record), _CHAIN_FILE)
        return run.info.run_id

    def _remembered_chain(self) -> str | None:
        if not self._workspace.exists(_CHAIN_FILE):
            return None
        record = json.loads(self._workspace.read_text(_CHAIN_FILE))
        wanted = f"attributes.run_id = '{record['run_id']}'"
        known = self.client.search_runs([self.experiment_id], filter_string=wanted, max_results=1)
        return record["run_id"] if known else None

    def _reopened(self, job: str, digest: str) -> str | None:
        """The run of a job that was broken off; trusted to be there while the server does not answer."""
        from mlflow.exceptions import MlflowException

        memory = _memory_of(job, digest)
        if not self._workspace.exists(*memory):
            return None
        record = json.loads(self._workspace.read_text(*memory))
        if record["tracking_uri"] != self.uri:
            return None
        try:
            self.client.update_run(record["run_id"], status="RUNNING")
        except MlflowException as error:
            if not _may_succeed_later(error):
                return None
            logger.warning("the tracking server does not answer", extra={"server": self.uri, "problem": one_line(error)})
        return record["run_id"]

    def _create(self, job: str, config: BaseModel, *, digest: str) -> str:
        from mlflow.exceptions import MlflowException

        try:
            run_id = self._created(job, config, digest=digest)
        except MlflowException as error:
            if not _may_succeed_later(error):
                raise
            raise UserError(
                f"no MLflow answers at {self.uri} ({one_line(error)}); start it, or correct or unset MLFLOW_TRACKING_URI"
            ) from error
        self._workspace.write_text(json.dumps({"run_id": run_id, "tracking_uri": self.uri}), *_memory_of(job, digest))
        return run_id

    def _created(self, job: str, config: BaseModel, *, digest: str) -> str:
        tags = {"stage": job, "config.sha": digest, "mlflow.parentRunId": self.chain_run_id, **_provenance_tags()}
        seed = getattr(config, "seed", None)
        if isinstance(seed, int):
            tags["seed"] = str(seed)
        return self.client.create_run(self.experiment_id, tags=tags, run_name=f"{job} {digest}").info.run_id


Deliver = Callable[[Callable[[], object]], None]


class MlflowRun:
    """One run in MLflow, reached by its id.

    Args:
        deliver: makes a call now, or sees to it that it is made; calls may be repeated.
    """

    def __init__(self, client: "MlflowClient", run_id: str, *, deliver: Deliver) -> None:
        self._client, self._deliver = client, deliver
        self.id = run_id

    def log_params(self, params: Mapping[str, str | int | float | bool]) -> None:
        """Settings of the run; a value that was logged before must not change."""
        from mlflow.entities import Param

        entries = [Param(key, str(value)) for key, value in params.items()]
        self._deliver(partial(self._client.log_batch, self.id, params=entries))

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Numbers named ``stage/quantity_unit``."""
        self.log_series([(step or 0, metrics)])

    def log_series(self, rows: Sequence[tuple[int, Mapping[str, float]]], *, on_delivered: OnDelivered | None = None) -> None:
        """Numbers of many steps in few requests."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)                                # of the measurement, so that what arrives twice is one
        entries = [Metric(key, float(value), now, step) for step, metrics in rows for key, value in metrics.items()]
        self._deliver(_and_tell(partial(_log_in_batches, self._client, self.id, entries), on_delivered))

    def log_file(self, path: Path, folder: str = "") -> None:
        """Keep a copy of a local file among the run's artifacts; it must stay in its place until the run ends."""
        self._deliver(partial(self._client.log_artifact, self.id, str(path), folder or None))

    def log_text(self, text: str, name: str) -> None:
        """Keep a text among the run's artifacts."""
        self._deliver(partial(self._client.log_text, self.id, text, name))

    def log_image(self, path: Path, key: str, *, step: int, on_delivered: OnDelivered | None = None) -> None:
        """Show a local picture under `key`, on a slider over the steps."""
        now = int(time.time() * 1000)
        self._deliver(_and_tell(partial(_log_image, self._client, self.id, path, key, step=step, timestamp_ms=now), on_delivered))

    def log_table(self, ref_uri: str, version: int, context: str) -> None:
        """Say which table at which version went in or came out (`context`: "input", "output", "selection")."""
        from mlflow.data.code_dataset_source import CodeDatasetSource
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import DatasetInput, InputTag

        source = CodeDatasetSource(tags={"uri": ref_uri, "version": str(version)})
        dataset = MetaDataset(source, name=Path(ref_uri.partition("?")[0]).stem[:500], digest=f"v{version}")
        given = DatasetInput(dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", context)])
        self._deliver(partial(self._client.log_inputs, self.id, [given]))
        self.set_tags({f"table.{context}.{dataset.name}": f"{ref_uri}@{version}"})

    def set_tags(self, tags: Mapping[str, str | int | float | bool]) -> None:
        """Short facts to find the run by."""
        from mlflow.entities import RunTag

        entries = [RunTag(key, str(value)) for key, value in tags.items()]
        self._deliver(partial(self._client.log_batch, self.id, tags=entries))


def _memory_of(job: str, digest: str) -> tuple[str, str]:
    """Where the run of a job is remembered while it is under way, so that it is found again without asking anybody."""
    return "jobs", f"{job}-{digest}.run"


def _and_tell(call: Callable[[], object], on_delivered: OnDelivered | None) -> Callable[[], object]:
    """One delivery that tells when it succeeded."""
    if on_delivered is None:
        return call

    def both() -> None:
        call()
        on_delivered()

    return both


def _log_in_batches(client: "MlflowClient", run_id: str, entries: "Sequence[Metric]") -> None:
    for start in range(0, len(entries), _BATCH):
        client.log_batch(run_id, metrics=entries[start : start + _BATCH])


def _log_image(client: "MlflowClient", run_id: str, path: Path, key: str, *, step: int, timestamp_ms: int) -> None:
    from PIL import Image

    with Image.open(path) as image:
        client.log_image(run_id, image, key=key, step=step, timestamp=timestamp_ms)


def _may_succeed_later(error: Exception) -> bool:
    """Whether the server or the way to it is at fault, not what was sent."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        status = error.get_http_status_code()
        return status >= 500 or status in (408, 429)
    return isinstance(error, OSError) and not isinstance(error, FileNotFoundError)


def _create_database(path: Path) -> None:
    """MLflow's empty tables, whole or not at all. Made in memory: dozens of synced migrations take long on a busy disk."""
    memory = Path("/dev/shm")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        made = Path(folder, "mlflow.db")
        _client(f"sqlite:///{made}").search_experiments()
        beside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
        shutil.copyfile(made, beside)
    beside.replace(path)


def _client(tracking_uri: str) -> "MlflowClient":
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)       # the import sets its own level
    return mlflow.MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def _provenance_tags() -> dict[str, str]:
    return {
        "git.sha": provenance.git_sha(),
        "git.dirty": str(provenance.git_is_dirty()).lower(),
        "code.sha": provenance.code_digest(),
        "hardware": provenance.hardware(),
        "mlflow.source.name": "seedbed",
        "mlflow.source.type": "JOB",
    }
