"""A folder of pictures with captions: the source for a user's own pictures. What may lie beside them is said in `trees`."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from curation.sources.protocol import MAX_PICTURE_BYTES, ReadFailure
from curation.sources.trees import DEFAULT_CAPTIONS_FILE, Captioned, File, TreeSource


class FolderConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Pictures below a folder, with captions beside them."""

    kind: Literal["folder"] = "folder"
    path: str
    """The folder; pictures are found at any depth, hidden files and folders are left out."""
    caption_suffix: str = Field(default=".txt", pattern=r"^\.\w+$")
    """A picture's caption lies beside it, in the file with this suffix."""
    captions_file: str = DEFAULT_CAPTIONS_FILE
    """JSON Lines file in the folder with a caption a picture; need not exist unless it is named otherwise."""
    heldout_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of concepts kept out of training."""
    seed: int = 0
    """Key of the split."""
    licence: str = "unknown"
    """Licence of the pictures, for rows whose caption line names none."""
    attribution: str = ""
    """Whom to name, for rows whose caption line names nobody."""


def folder_source(config: FolderConfig) -> TreeSource:
    """The source of a folder."""
    tree = LocalTree(Path(config.path).expanduser().absolute())
    captioned = Captioned(
        source="folder", root_name=tree.root.name, caption_suffix=config.caption_suffix, captions_file=config.captions_file,
        heldout_share=config.heldout_share, seed=config.seed, licence=config.licence, attribution=config.attribution,
    )  # fmt: skip
    return TreeSource(tree, captioned)


class LocalTree:
    """A folder on a disk that all workers see."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.place = str(root)

    def folders(self) -> Iterator[str]:
        """All folders, by name, the root first."""
        for folder, folders, _ in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            relative = Path(folder).relative_to(self.root).as_posix()
            yield "" if relative == "." else relative

    def files(self, folder: str) -> list[File]:
        """Files of a folder, by name."""
        try:
            with os.scandir(self.root / folder) as entries:
                found = [(entry.name, entry.stat()) for entry in entries if entry.is_file() and not entry.name.startswith(".")]
        except OSError:
            return []
        return sorted(File(name, f"{stat.st_size}-{stat.st_mtime_ns}") for name, stat in found)

    def read(self, paths: Sequence[str]) -> list[bytes | ReadFailure]:
        """Contents of files."""
        return [self._read_one(path) for path in paths]

    def _read_one(self, path: str) -> bytes | ReadFailure:
        place = self.root / path
        try:
            num_bytes = place.stat().st_size
            if num_bytes > MAX_PICTURE_BYTES:
                return ReadFailure(f"{path} has {num_bytes} bytes, at most {MAX_PICTURE_BYTES} are read", "too_large")
            return place.read_bytes()
        except FileNotFoundError as error:
            return ReadFailure(f"{path}: {error.strerror}", "missing")
        except OSError as error:
            return ReadFailure(f"{path}: {error.strerror or error}")
