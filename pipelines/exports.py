"""Files with pictures that a command wrote where the user asked: pages to label, sheets of a search.

Each is noted in the workspace with the rows it shows, so that `seedbed takedown` can name those it does not reach.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname

from pydantic import BaseModel

from infra.storage import Workspace, digest_of

FOLDER = "exports"


class Export(BaseModel, frozen=True, extra="forbid"):
    """A file on the machine that wrote it."""

    host: str
    file: str
    written: datetime
    ids: tuple[str, ...]
    """Of the rows whose pictures it shows."""

    @property
    def place(self) -> str:
        """Machine and path."""
        return f"{self.host}:{self.file}"


def note(workspace: Workspace, file: Path, ids: Collection[str]) -> None:
    """Remember that the file shows these rows; one written over another takes its note's place."""
    export = Export(host=gethostname(), file=str(file.absolute()), written=datetime.now(UTC), ids=tuple(sorted(ids)))
    workspace.write_text(export.model_dump_json(), FOLDER, f"{digest_of(export.place)}.json")


def exports_showing(ids: Collection[str], workspace: Workspace) -> Iterator[Export]:
    """The noted files that show one of the rows, by name."""
    noted = (Export.model_validate_json(workspace.read_text(FOLDER, name)) for name in workspace.names(FOLDER, "*.json"))
    yield from sorted((one for one in noted if set(ids) & set(one.ids)), key=lambda one: one.place)
