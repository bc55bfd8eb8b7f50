"""Visit: serve a bundle, ask it for pictures of every task over HTTP as a client would, keep the answers, stop it.

Prompts and references are those of an evaluation, so that what the server answers can be held against what was scored.
"""

import base64
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
from pydantic import BaseModel, Field

from eval.scores import SampleScore
from infra.session import Session
from infra.tracking import Run
from models.bundle import read_manifest
from pipelines.evaluate import read_scores
from pipelines.job import Outcome, Work, job_digest, run_job
from pipelines.serve.app import ServeConfig, start, stop

TASKS = ("t2i", "edit", "compose")


class VisitConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is served and what it is asked."""

    serve: ServeConfig
    """The server; its bundle is the one that is visited."""
    evaluation: str
    """Folder of the evaluation whose prompts are asked."""
    requests_per_task: int = Field(gt=0)
    """Requests of each task, one picture each."""
    bundle_digest: str = ""
    """Digest of the bundle; filled in when the job starts."""


def run(config: VisitConfig, session: Session) -> Outcome:
    """Ask; outputs `folder`, with the answers as ``<task>/NN.png``."""
    digest = read_manifest(Path(config.serve.bundle)).digest
    resolved = VisitConfig.model_validate({**config.model_dump(), "bundle_digest": digest})
    return run_job("visit", resolved, session, partial(_visit, resolved, session))


def _visit(config: VisitConfig, session: Session, run: Run) -> Work:
    folder = session.workspace.local("visits", job_digest("visit", config))
    asked = list(_asked(config))
    with session.progress.stage("visit", total=len(asked)) as bar:
        url = start(config.serve, session)
        try:
            with httpx.Client(base_url=url, timeout=config.serve.timeout_s) as client:
                client.get("/healthz").raise_for_status()
                for number, sample in asked:
                    place = folder / sample.task / f"{number:02d}.png"
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(_answer(client, sample, Path(config.evaluation), seed=number))
                    run.log_file(place, f"served/{sample.task}")
                    bar.advance()
        finally:
            stop()
    counted = ", ".join(f"{sum(sample.task == task for _, sample in asked)} {task}" for task in TASKS)
    return Work(
        rows_in=len(asked), rows_out=len(asked), quarantined=0, outputs={"folder": str(folder)}, metrics={},
        note=f"asked the server for {len(asked)} pictures over HTTP ({counted}); all answered",
    )  # fmt: skip


def _asked(config: VisitConfig) -> Iterator[tuple[int, SampleScore]]:
    samples = [sample for sample in read_scores(Path(config.evaluation)).samples if sample.split == "train"]
    for task in TASKS:
        yield from enumerate([sample for sample in samples if sample.task == task][: config.requests_per_task])


def _answer(client: httpx.Client, sample: SampleScore, evaluation: Path, *, seed: int) -> bytes:
    if sample.references:
        files = [("image[]", (Path(name).name, (evaluation / name).read_bytes(), "image/png")) for name in sample.references]
        response = client.post("/v1/images/edits", data={"prompt": sample.prompt, "seed": str(seed)}, files=files)
    else:
        response = client.post("/v1/images/generations", json={"prompt": sample.prompt, "seed": seed})
    response.raise_for_status()
    return base64.b64decode(response.json()["data"][0]["b64_json"])
