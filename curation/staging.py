"""Finished batches on their way into a table, and the memory of attempts that did not end.

A column file holds a whole fragment, but a worker may die at any moment. So each batch is kept here as soon as it is done, and
a note is left before it is begun. Whoever works on the fragment next finds both: batches that need no second computation, and
the note of the one during which its predecessor died.

::

    images.lance.staging/<signal>-<version>/<fragment>/<unit>.arrow      a finished unit: a batch, or one row of it
                                                       <unit>.attempts   how often the unit was begun
                                                       column-files      names of the files made from all of them, a line each
"""

import uuid
from pathlib import PurePosixPath

import pyarrow as pa
from pyarrow import fs

from infra.storage import filesystem_of

SUFFIX = ".staging"


class Staging:
    """Finished units of one signal version in one fragment."""

    def __init__(self, table_uri: str, signal: str, version: str, fragment_id: int) -> None:
        self._files, self._folder = _place(table_uri, f"{signal}-{version}", str(fragment_id))

    def kept(self, unit: str, schema: pa.Schema) -> pa.Table | None:
        """The values of a finished unit; None when there are none, or none of these columns."""
        path = f"{self._folder}/{unit}.arrow"
        if self._files.get_file_info(path).type is not fs.FileType.File:
            return None
        with self._files.open_input_file(path) as file, pa.ipc.open_file(file) as reader:
            table = reader.read_all()
        return table if table.schema.equals(schema) else None

    def keep(self, unit: str, values: pa.Table) -> None:
        """Keep a unit; it is there whole or not at all, and its attempts are forgotten."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, values.schema) as writer:
            writer.write_table(values)
        self._write(f"{unit}.arrow", sink.getvalue())
        self._delete(f"{unit}.attempts")

    def begin(self, unit: str) -> int:
        """Note that the unit is begun; how often it had been begun, without an end, before."""
        before = self._read(f"{unit}.attempts")
        count = int(before) if before else 0
        self._write(f"{unit}.attempts", str(count + 1).encode())
        return count

    def attempts(self, unit: str) -> int:
        """How often the unit was begun without an end."""
        return int(self._read(f"{unit}.attempts") or 0)

    def note_column_file(self, name: str) -> None:
        """Note the column file that is about to be written, so that it can be removed when it is never committed."""
        self._write("column-files", self._read("column-files") + f"{name}\n".encode())

    def column_files(self) -> list[str]:
        """Names of all column files that were noted."""
        return self._read("column-files").decode().split()

    def clear(self) -> None:
        """Forget the fragment."""
        if self._files.get_file_info(self._folder).type is fs.FileType.Directory:
            self._files.delete_dir(self._folder)

    def _read(self, name: str) -> bytes:
        path = f"{self._folder}/{name}"
        if self._files.get_file_info(path).type is not fs.FileType.File:
            return b""
        with self._files.open_input_stream(path) as stream:
            return stream.read()

    def _write(self, name: str, content: bytes | pa.Buffer) -> None:
        self._files.create_dir(self._folder, recursive=True)
        is_local = isinstance(self._files, fs.LocalFileSystem)  # an object is published whole when its upload ends
        path = f"{self._folder}/{name}"
        beside = f"{path}.{uuid.uuid4().hex[:8]}.part" if is_local else path
        with self._files.open_output_stream(beside) as stream:
            stream.write(content)
        if is_local:
            self._files.move(beside, path)

    def _delete(self, name: str) -> None:
        path = f"{self._folder}/{name}"
        if self._files.get_file_info(path).type is fs.FileType.File:
            self._files.delete_file(path)


def staged(table_uri: str, signal: str) -> list[Staging]:
    """What is left of a signal, of any version and in any fragment."""
    files, root = _place(table_uri)
    found = files.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    folders = [PurePosixPath(one.path) for one in found if one.type is fs.FileType.Directory]
    places = [folder.relative_to(PurePosixPath(root)).parts for folder in folders]
    mine = [place for place in places if len(place) == 2 and place[0].rpartition("-")[0] == signal]
    return [Staging(table_uri, signal, version_folder.rpartition("-")[2], int(fragment)) for version_folder, fragment in mine]


def clear_table(table_uri: str) -> None:
    """Forget everything that is staged for a table, of any signal."""
    files, root = _place(table_uri)
    if files.get_file_info(root).type is fs.FileType.Directory:
        files.delete_dir(root)


def _place(table_uri: str, *parts: str) -> tuple[fs.FileSystem, str]:
    base, _, query = table_uri.partition("?")
    joined = "/".join([base.rstrip("/") + SUFFIX, *parts])
    return filesystem_of(f"{joined}?{query}" if query else joined)
