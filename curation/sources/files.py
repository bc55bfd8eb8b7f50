"""Files that are shards themselves: which there are at a place, local or in an object store, and opening them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pyarrow import NativeFile, fs

from curation.sources.protocol import Shard
from infra.errors import UserError


class Files(NamedTuple):
    """Files with one of some endings, below a folder or a single one. Paths and URIs are those of pyarrow.fs."""

    place: str
    suffixes: tuple[str, ...]

    def shards(self) -> Iterator[Shard]:
        """A shard a file, by name; the name is the path below the place, or the file's name when the place is a file.

        Raises:
            UserError: there is no such file.
        """
        filesystem, root = _filesystem(self.place)
        info = filesystem.get_file_info(root)
        infos = [info] if info.is_file else _below(filesystem, root) if info.type is fs.FileType.Directory else []
        found = sorted((self._name(one.path, root), one) for one in infos if one.path.endswith(self.suffixes))
        if not found:
            raise UserError(f"no file ending in {' or '.join(self.suffixes)} at {self.place}; give an existing file or folder")
        for name, one in found:
            yield Shard(name, f"{one.size}-{one.mtime_ns}")

    def open(self, shard: str) -> NativeFile:
        """A file for reading at any place of it; the caller closes it.

        Raises:
            OSError: it is not there.
        """
        filesystem, root = _filesystem(self.place)
        return filesystem.open_input_file(root if filesystem.get_file_info(root).is_file else f"{root}/{shard}")

    @property
    def name(self) -> str:
        """Last part of the place without its ending: part of ids, the same wherever the files are moved together."""
        last = self.place.partition("?")[0].rstrip("/").rpartition("/")[2]
        for suffix in self.suffixes:
            last = last.removesuffix(suffix)
        return last

    def _name(self, path: str, root: str) -> str:
        return path.removeprefix(root).lstrip("/") or path.rpartition("/")[2]


def by_shard(locators: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
    """Locators of the form ``shard#member`` by shard, each with its place in the sequence."""
    grouped: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for index, locator in enumerate(locators):
        shard, _, member = locator.rpartition("#")
        grouped[shard].append((index, member))
    return grouped


def _below(filesystem: fs.FileSystem, root: str) -> list[fs.FileInfo]:
    return [one for one in filesystem.get_file_info(fs.FileSelector(root, recursive=True)) if one.is_file]


def _filesystem(place: str) -> tuple[fs.FileSystem, str]:
    if "://" not in place:
        return fs.LocalFileSystem(), str(Path(place).expanduser().absolute())
    try:
        filesystem, path = fs.FileSystem.from_uri(place)
    except (ValueError, OSError) as error:
        raise UserError(f"cannot open {place}: {error}; expected a path or a URI such as s3://bucket/folder") from error
    return filesystem, path.rstrip("/")
