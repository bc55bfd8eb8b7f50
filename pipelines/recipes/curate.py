"""Recipes of `seedbed curate`."""

from curation.tables import TableRef
from curation.verdict import LimitsConfig
from infra.storage import Workspace
from pipelines.curate import CurateConfig

DRAWINGS = LimitsConfig(
    min_side_px=32, min_alpha_cover=0.01, min_sharpness=5.0, near_duplicate_bits=2, near_duplicate_cosine=0.99
)
"""Limits for drawings on transparent ground; edges make them far sharper than photographs."""


def default(workspace: Workspace) -> CurateConfig:
    """The table `images`, with limits for drawings.

    Run:      seedbed curate
    Hardware: two cores, about 15 ms a picture and core
    """
    return CurateConfig(images=TableRef(uri=workspace.uri("tables", "images.lance")), limits=DRAWINGS, workers=2)
