"""Recipes of `seedbed encode`."""

from infra.storage import Workspace
from pipelines.encode import EncodeConfig, NativeConfig, SquareConfig
from pipelines.recipes import clusters, latest


def default(workspace: Workspace) -> EncodeConfig:
    """The newest selection of the workspace, by its newest autoencoder.

    Run:      seedbed encode
    Hardware: two cores, milliseconds a picture
    """
    return EncodeConfig(
        images=latest.selected_images(workspace), bundle=latest.bundle(workspace, "autoencoder"), sizes=SquareConfig(),
        batch_size=64, workers=2,
    )  # fmt: skip


def latent_512(workspace: Workspace) -> EncodeConfig:
    """Latents of at most the area of 512 px, by the newest f32 autoencoder (`seedbed fit autoencoder_f32`).

    Run:      seedbed encode latent_512 --address ray://HEAD:10001 --set workers=64
    Hardware: CPUs of a cluster; 33 kB a picture
    """
    return _native(workspace, "512")


def latent_1k(workspace: Workspace) -> EncodeConfig:
    """Latents of at most the area of 1024 px, by the same autoencoder, in columns of their own.

    Run:      seedbed encode latent_1k --address ray://HEAD:10001 --set workers=64
    Hardware: CPUs of a cluster; 131 kB a picture
    """
    return _native(workspace, "1k")


def latent_4k(workspace: Workspace) -> EncodeConfig:
    """Latents of at most the area of 4096 px, by the same autoencoder, in columns of their own.

    Run:      seedbed encode latent_4k --address ray://HEAD:10001 --set workers=64
    Hardware: CPUs of a cluster; 2.1 MB a picture of 4K, what it has of smaller ones
    """
    return _native(workspace, "4k")


def _native(workspace: Workspace, resolution: str) -> EncodeConfig:
    sizes = NativeConfig(max_side_px=clusters.SIDES_PX[resolution])
    return EncodeConfig(
        images=latest.selected_images(workspace), bundle=latest.bundle(workspace, clusters.AUTOENCODER), sizes=sizes,
        column=clusters.column(resolution), batch_size=8, workers=2,
    )  # fmt: skip
