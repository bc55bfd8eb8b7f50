"""Recipes of `seedbed encode`."""

from infra.storage import Workspace
from pipelines.encode import EncodeConfig
from pipelines.recipes import latest


def default(workspace: Workspace) -> EncodeConfig:
    """The newest selection of the workspace, by its newest autoencoder.

    Run:      seedbed encode
    Hardware: two cores, milliseconds a picture
    """
    return EncodeConfig(
        images=latest.selected_images(workspace), bundle=latest.bundle(workspace, "autoencoder"), batch_size=64, workers=2
    )
