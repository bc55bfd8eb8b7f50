"""Recipes of `seedbed caption`."""

from curation.tables import TableRef
from infra.storage import Workspace
from pipelines.caption import CaptionConfig


def default(workspace: Workspace) -> CaptionConfig:
    """The table `images`.

    Run:      seedbed caption
    Hardware: two cores, seconds
    """
    return CaptionConfig(images=TableRef(uri=workspace.uri("tables", "images.lance")), workers=2)
