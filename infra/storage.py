"""The workspace: one folder, local or in an object store, that holds everything a chain of jobs makes.

::

    tables/images.lance  tables/pairs.lance       what curation hands over
    selections/<name>-<digest>.lance              which rows a run may see
    bundles/<name>-<digest>/                      what training hands over
    fits/<name>-<digest>/                         checkpoints, meters, events and grids of a training
    evaluations/<digest>/                         samples and grids
    labels/<name>/                                what people answered about pictures
    jobs/<job>-<digest>.json                      one record for every finished job
    jobs/<job>-<digest>.run                       the run in the record of a job that is under way
    mlflow.db  mlartifacts/  chain.json           the record of runs

Object stores are reached through pyarrow.fs (chosen over fsspec: Lance and Ray Data use it already). A file is written beside its
place and renamed; an object store publishes an object only when its upload has ended, so there it is written directly.
"""

import hashlib
import json
import shutil
import uuid
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from pyarrow import fs
from pydantic import BaseModel

from infra.errors import UserError

_DIGEST_LENGTH = 12


class Workspace:
    """Names and reads the places under one root."""

    def __init__(self, root: str) -> None:
        self._is_remote = "://" in root and not root.startswith("file://")
        if self._is_remote:
            self.root = root.rstrip("/")
        else:
            self.root = str(Path(root.removeprefix("file://")).expanduser().absolute())

    @property
    def is_remote(self) -> bool:
        """Whether the root is a URI of an object store."""
        return self._is_remote

    def uri(self, *parts: str) -> str:
        """The place as an absolute path, or as a URI when the root is one."""
        base, _, query = self.root.partition("?")
        joined = "/".join([base, *parts])
        return f"{joined}?{query}" if query else joined

    def local(self, *parts: str) -> Path:
        """The place as a path on this machine.

        Raises:
            UserError: the workspace is in an object store.
        """
        if self._is_remote:
            place = "/".join(parts) or "this"
            raise UserError(f"workspace {self.root} is in an object store, but {place} needs a local folder; give one as --root")
        return Path(self.root, *parts)

    def exists(self, *parts: str) -> bool:
        """Whether something is stored there."""
        return exists(self.uri(*parts))

    def read_text(self, *parts: str) -> str:
        """The stored text.

        Raises:
            UserError: nothing is stored there.
        """
        filesystem, path = filesystem_of(self.uri(*parts))
        if filesystem.get_file_info(path).type is not fs.FileType.File:
            raise UserError(f"no file at {self.uri(*parts)}; check --root ({self.root})")
        with filesystem.open_input_stream(path) as stream:
            return stream.read().decode()

    def write_text(self, text: str, *parts: str) -> None:
        """Store the text; readers see either the old content or all of the new."""
        filesystem, path = filesystem_of(self.uri(*parts))
        filesystem.create_dir(str(PurePosixPath(path).parent), recursive=True)
        target = path if self._is_remote else f"{path}.{uuid.uuid4().hex[:8]}.part"
        with filesystem.open_output_stream(target) as stream:
            stream.write(text.encode())
        if target != path:
            Path(target).replace(path)

    def names(self, folder: str, pattern: str) -> list[str]:
        """Names in a folder of the workspace that match a shell pattern, sorted; none when there is no such folder."""
        filesystem, path = filesystem_of(self.uri(folder))
        entries = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
        return sorted(entry.base_name for entry in entries if fnmatch(entry.base_name, pattern))

    def delete(self, *parts: str) -> None:
        """Remove the file or folder, with all that is in it; nothing happens when it is not there."""
        filesystem, path = filesystem_of(self.uri(*parts))
        match filesystem.get_file_info(path).type:
            case fs.FileType.File:
                filesystem.delete_file(path)
            case fs.FileType.Directory:
                filesystem.delete_dir(path)

    def size_bytes(self, *parts: str) -> int:
        """Bytes stored there, folders summed up; 0 when there is nothing."""
        return size_bytes(self.uri(*parts))


def exists(uri: str) -> bool:
    """Whether a file or folder is stored at the path or URI."""
    filesystem, path = filesystem_of(uri)
    return filesystem.get_file_info(path).type is not fs.FileType.NotFound


def size_bytes(uri: str) -> int:
    """Bytes stored at the path or URI, folders summed up; 0 when there is nothing."""
    filesystem, path = filesystem_of(uri)
    info = filesystem.get_file_info(path)
    if info.type is fs.FileType.NotFound:
        return 0
    if info.type is fs.FileType.File:
        return info.size or 0
    return sum(child.size or 0 for child in filesystem.get_file_info(fs.FileSelector(path, recursive=True)))


def require_free_space(path: Path | str, num_bytes: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        path: where it will be written; it need not exist yet.
        num_bytes: an upper estimate of what will be written.

    Raises:
        UserError: less than `num_bytes` are free there.
    """
    existing = Path(path).absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < num_bytes:
        raise UserError(
            f"no disk space: {free / 1e9:.2f} GB free at {path}, {num_bytes / 1e9:.2f} GB needed; "
            "free some or give another --root"
        )


def digest_of(obj: BaseModel | str | bytes, length: int = _DIGEST_LENGTH) -> str:
    """First `length` hex digits of SHA-256; a model counts as its canonical JSON, so equal settings have equal digests."""
    if isinstance(obj, BaseModel):
        obj = canonical_json(obj)
    if isinstance(obj, str):
        obj = obj.encode()
    return hashlib.sha256(obj).hexdigest()[:length]


def canonical_json(model: BaseModel) -> str:
    """JSON with sorted keys and no spaces."""
    return json.dumps(model.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def filesystem_of(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a path or URI, and the path in it.

    Raises:
        UserError: the URI is of a kind that pyarrow.fs does not know, or its store does not answer.
    """
    if "://" not in uri:
        return fs.LocalFileSystem(), uri
    try:
        return fs.FileSystem.from_uri(uri)
    except (ValueError, OSError) as error:
        raise UserError(f"cannot open {uri}: {error}; expected a folder or a URI such as s3://bucket/folder") from error
