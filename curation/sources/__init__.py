"""Where pictures come from: a closed set of sources behind one protocol.

`rows` lists what there is, cheaply and on the driver; `read` fetches encoded pictures, in workers.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from curation.sources.emoji import EmojiConfig, EmojiSource
from curation.sources.folder import FolderConfig, FolderSource
from curation.sources.protocol import ReadFailure, Source

__all__ = ["EmojiConfig", "FolderConfig", "ReadFailure", "Source", "SourceConfig", "build"]

SourceConfig = Annotated[EmojiConfig | FolderConfig, Field(discriminator="kind")]


def build(config: EmojiConfig | FolderConfig, *, cache_dir: Path) -> Source:
    """The source that a configuration describes; `cache_dir` is where it may keep what it renders or fetches."""
    match config:
        case EmojiConfig():
            return EmojiSource(config, cache_dir)
        case FolderConfig():
            return FolderSource(config)
