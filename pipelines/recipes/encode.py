"""Recipes of `seedbed encode`."""

from infra.storage import Workspace
from pipelines.encode import EncodeConfig
from pipelines.recipes import clusters, latest


def default(workspace: Workspace) -> EncodeConfig:
    """The newest selection of the workspace, by its newest autoencoder.

    Run:      seedbed encode
    Hardware: two cores, milliseconds a picture
    """
    return _by(workspace, "autoencoder")


def f32(workspace: Workspace) -> EncodeConfig:
    """The newest selection, by the newest f32 autoencoder (`seedbed fit autoencoder_f32`), in squares of its size.

    Run:      seedbed encode f32 --address ray://HEAD:10001 --set workers=64
    Hardware: CPUs of a cluster
    """
    return _by(workspace, clusters.AUTOENCODER)


def _by(workspace: Workspace, autoencoder: str) -> EncodeConfig:
    return EncodeConfig(
        images=latest.selected_images(workspace), bundle=latest.bundle(workspace, autoencoder), batch_size=64, workers=2
    )
