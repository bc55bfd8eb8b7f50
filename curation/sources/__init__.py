"""Where pictures come from: a closed set of sources behind one protocol.

`shards` and `rows` list what there is, in the driver and one shard at a time; `read` fetches encoded pictures, in workers.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from curation.sources.emoji import EmojiConfig, EmojiSource
from curation.sources.folder import FolderConfig, folder_source
from curation.sources.huggingface import HuggingFaceConfig, HuggingFaceSource
from curation.sources.knowledge import KnowledgeConfig, KnowledgeSource
from curation.sources.lance_table import LanceTableConfig, LanceTableSource
from curation.sources.parquet import ParquetConfig, ParquetSource
from curation.sources.pdf import PdfConfig, PdfSource
from curation.sources.protocol import BadShard, ReadFailure, Shard, Source, fingerprint, listed
from curation.sources.s3 import S3Config, s3_source
from curation.sources.url_list import UrlListConfig, UrlListSource
from curation.sources.webdataset import WebDatasetConfig, WebDatasetSource

__all__ = [
    "BadShard", "EmojiConfig", "FolderConfig", "HuggingFaceConfig", "KnowledgeConfig", "LanceTableConfig", "ParquetConfig",
    "PdfConfig", "ReadFailure", "S3Config", "Shard", "Source", "SourceConfig", "UrlListConfig", "WebDatasetConfig", "build",
    "fingerprint", "listed",
]  # fmt: skip

AnySource = (
    EmojiConfig | FolderConfig | HuggingFaceConfig | KnowledgeConfig | LanceTableConfig | ParquetConfig | PdfConfig | S3Config
    | UrlListConfig | WebDatasetConfig
)  # fmt: skip

SourceConfig = Annotated[AnySource, Field(discriminator="kind")]


def build(config: AnySource, *, cache_dir: Path) -> Source:  # noqa: C901 - one case a source
    """The source that a configuration describes; `cache_dir` is where it may keep what it renders or parts."""
    match config:
        case EmojiConfig():
            return EmojiSource(config, cache_dir)
        case FolderConfig():
            return folder_source(config)
        case HuggingFaceConfig():
            return HuggingFaceSource(config)
        case KnowledgeConfig():
            return KnowledgeSource(config, cache_dir)
        case LanceTableConfig():
            return LanceTableSource(config)
        case ParquetConfig():
            return ParquetSource(config)
        case PdfConfig():
            return PdfSource(config)
        case S3Config():
            return s3_source(config)
        case UrlListConfig():
            return UrlListSource(config, cache_dir)
        case WebDatasetConfig():
            return WebDatasetSource(config)
