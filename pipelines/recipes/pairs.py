"""Recipes of `seedbed pairs`."""

from curation.edits.composing import ComposeConfig
from curation.tables import TableRef
from infra.storage import Workspace
from pipelines.pairs import PairsConfig
from pipelines.recipes.curate import DRAWINGS


def default(workspace: Workspace) -> PairsConfig:
    """Pairs found among all kept pictures, and about three composed pictures for each.

    Run:      seedbed pairs
    Hardware: two cores, about 25 ms a composed picture and core
    """
    return PairsConfig(
        images=TableRef(uri=workspace.uri("tables", "images.lance")),
        pairs=workspace.uri("tables", "pairs.lance"),
        categories=(),
        compose=ComposeConfig(backgrounds_per_image=1.2, mirrors_per_image=0.5, pastes_per_image=1.5, seed=0, size_px=128),
        max_references=2,
        rules=DRAWINGS,
        rows_per_fragment=128,
        workers=2,
    )
