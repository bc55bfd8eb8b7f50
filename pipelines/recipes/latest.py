"""What a recipe builds on when it is run by itself: the newest selection and bundles of the workspace."""

from pathlib import Path

from curation.tables import TableRef
from infra.errors import UserError
from infra.storage import Workspace


def selected_images(workspace: Workspace) -> TableRef:
    """The images table, narrowed by the newest selection.

    Raises:
        UserError: nothing has been selected.
    """
    selection = _newest(workspace.local("selections"), "*.lance", job="select")
    return TableRef(uri=workspace.uri("tables", "images.lance"), selection=str(selection))


def bundle(workspace: Workspace, name: str) -> str:
    """Folder of the newest bundle whose name begins so.

    Raises:
        UserError: there is none.
    """
    return str(_newest(workspace.local("bundles"), f"{name}-*", job=f"fit {name}"))


def evaluation(workspace: Workspace) -> str:
    """Digest of the newest evaluation.

    Raises:
        UserError: there is none.
    """
    return _newest(workspace.local("jobs"), "evaluate-*.json", job="evaluate").stem.removeprefix("evaluate-")


def _newest(folder: Path, pattern: str, *, job: str) -> Path:
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(f"nothing named {pattern} in {folder}; run `seedbed {job}` first")
    return found[-1]
