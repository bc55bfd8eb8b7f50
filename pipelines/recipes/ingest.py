"""Recipes of `seedbed ingest`."""

from curation.sources import EmojiConfig
from infra.storage import Workspace
from pipelines.ingest import IngestConfig


def default(workspace: Workspace) -> IngestConfig:
    """The whole embedded corpus: 7,906 emoji in two styles, rendered at 128 px.

    Run:      seedbed ingest
    Hardware: two cores, about a minute the first time, when the pictures are rendered
    Expect:   7,906 rows, none unreadable
    """
    return IngestConfig(source=EmojiConfig(), images=workspace.uri("tables", "images.lance"), rows_per_fragment=128, workers=2)
