"""Recipes of `seedbed evaluate`."""

from infra.storage import Workspace
from pipelines.evaluate import EvaluateConfig, SampleCounts
from pipelines.recipes import latest


def default(workspace: Workspace) -> EvaluateConfig:
    """The newest generator, on concepts it was trained on and on held-out ones.

    Run:      seedbed evaluate
    Hardware: two cores, about a minute
    """
    return EvaluateConfig(
        images=latest.selected_images(workspace), bundle=latest.bundle(workspace, "generator"),
        contrastive=latest.bundle(workspace, "contrastive"),
        train=SampleCounts(t2i=256, edit=256, compose=128), heldout=SampleCounts(t2i=24, edit=24, compose=12),
        level="medium", batch_size=64, seed=0,
    )  # fmt: skip
