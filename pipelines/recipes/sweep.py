"""Recipes of `seedbed sweep`."""

from curation.tables import TableRef
from infra.storage import Workspace
from pipelines.recipes.curate import DRAWINGS
from pipelines.sweep import SweepConfig


def default(workspace: Workspace) -> SweepConfig:
    """The rules for drawings, over the table `images`.

    Run:      seedbed sweep --grid drop.blurred.limit=2,5,10 --grid dedup.near.bits=0,2,3
    Hardware: one core, well under a second a variant for 10^6 rows; one variant when no grid is given
    """
    return SweepConfig(
        images=TableRef(uri=workspace.uri("tables", "images.lance")), rules=DRAWINGS, grid=(), pick=None, name="swept"
    )
