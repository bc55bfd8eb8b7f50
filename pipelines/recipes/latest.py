"""What a recipe builds on when it is run by itself: the newest selection, bundle and evaluation on record in the workspace."""

from collections.abc import Callable
from pathlib import Path

from curation.tables import TableRef
from infra.errors import UserError
from infra.storage import Workspace
from models.bundle import read_manifest
from pipelines.job import Outcome, finished


def selected_images(workspace: Workspace) -> TableRef:
    """The images table, narrowed by the newest selection.

    Raises:
        UserError: nothing has been selected.
    """
    found = _newest(workspace, "select", job="select", wanted=lambda _: True)
    return TableRef(uri=found.outputs["images"], selection=found.outputs["selection"])


def bundle(workspace: Workspace, name: str) -> str:
    """Folder of the newest bundle that a fit of this name made.

    Raises:
        UserError: there is none.
    """
    return _newest(workspace, "fit", job=f"fit {name}", wanted=lambda one: one.outputs["name"] == name).outputs["bundle"]


def evaluation(workspace: Workspace, bundle: str) -> str:
    """Digest of the newest evaluation of the bundle in this folder.

    Raises:
        UserError: there is none.
    """
    digest = read_manifest(Path(bundle)).digest
    return _newest(workspace, "evaluate", job="evaluate", wanted=lambda one: one.outputs["bundle_digest"] == digest).digest


def _newest(workspace: Workspace, name: str, *, job: str, wanted: Callable[[Outcome], bool]) -> Outcome:
    found = [outcome for outcome in finished(name, workspace) if wanted(outcome)]
    if not found:
        raise UserError(f"no finished {job} on record in {workspace.root}; run `seedbed {job}` first")
    return found[-1]
