from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest

from infra.errors import UserError
from infra.storage import Workspace
from pipelines.job import Outcome
from pipelines.recipes.encode import default as encode_default


@pytest.mark.parametrize("job", ["ingest", "curate", "caption", "pairs", "select"])
def test_the_default_recipe_is_whole_and_stays_in_the_workspace(job: str, workspace: Workspace) -> None:
    config = import_module(f"pipelines.recipes.{job}").default(workspace)
    assert type(config).model_validate_json(config.model_dump_json()) == config
    assert workspace.uri("tables", "images.lance") in config.model_dump_json()


def record(workspace: Workspace, job: str, outputs: dict[str, str]) -> None:
    """A finished job whose outputs are there."""
    for place in outputs.values():
        if place.startswith("/"):
            Path(place).mkdir(parents=True, exist_ok=True)
    outcome = Outcome(
        job=job, digest="d1", finished=datetime.now(UTC), seconds=1, rows_in=1, rows_out=1, quarantined=0, outputs=outputs,
        metrics={}, run_id="", note="", bytes=0,
    )  # fmt: skip
    workspace.write_text(outcome.model_dump_json(), "jobs", f"{job}-d1.json")


def test_encoding_by_default_asks_for_what_is_missing(workspace: Workspace) -> None:
    with pytest.raises(UserError, match="run `seedbed select` first"):
        encode_default(workspace)
    images, selection = workspace.uri("tables", "images.lance"), workspace.uri("selections", "a-1.lance")
    record(workspace, "select", {"images": images, "selection": selection, "version": "1"})
    with pytest.raises(UserError, match="run `seedbed fit autoencoder` first"):
        encode_default(workspace)
    bundle = workspace.uri("bundles", "autoencoder-1")
    record(workspace, "fit", {"name": "autoencoder", "bundle": bundle})
    config = encode_default(workspace)
    assert (config.images.uri, config.images.selection, config.bundle) == (images, selection, bundle)
