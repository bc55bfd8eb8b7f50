from importlib import import_module

import pytest

from infra.errors import UserError
from infra.storage import Workspace
from pipelines.recipes.encode import default as encode_default


@pytest.mark.parametrize("job", ["ingest", "curate", "caption", "pairs", "select"])
def test_the_default_recipe_is_whole_and_stays_in_the_workspace(job: str, workspace: Workspace) -> None:
    config = import_module(f"pipelines.recipes.{job}").default(workspace)
    assert type(config).model_validate_json(config.model_dump_json()) == config
    assert workspace.uri("tables", "images.lance") in config.model_dump_json()


def test_encoding_by_default_asks_for_what_is_missing(workspace: Workspace) -> None:
    with pytest.raises(UserError, match="run `seedbed select` first"):
        encode_default(workspace)
    workspace.local("selections", "a-1.lance").mkdir(parents=True)
    with pytest.raises(UserError, match="run `seedbed fit autoencoder` first"):
        encode_default(workspace)
    workspace.local("bundles", "autoencoder-1").mkdir(parents=True)
    config = encode_default(workspace)
    assert config.images.selection == workspace.uri("selections", "a-1.lance")
    assert config.bundle == workspace.uri("bundles", "autoencoder-1")
