"""Which bundle is served: the one that is named, else the registry's champion, else the one that comes with the package."""

from importlib.resources import files
from pathlib import Path

from infra.errors import UserError
from infra.session import Session
from models.bundle import MANIFEST, read_manifest

NAME = "generator"
"""Registered name that the server follows."""
CHAMPION = "champion"
"""Alias of the version that is served."""


def bundle_to_serve(named: str, session: Session) -> Path:
    """Folder of the bundle, seen to hold a generator before anything is started.

    Args:
        named: a folder, or "" to choose.

    Raises:
        UserError: it holds another kind of bundle, or none was named and none can be found.
        BundleError: it holds no bundle that can be read.
    """
    folder = Path(named or champion_or_pretrained(session)).absolute()
    kind = read_manifest(folder).contents.kind
    if kind != "generator":
        raise UserError(f"bundle {folder} is of kind {kind!r}, serving needs 'generator'; name another with --set bundle=FOLDER")
    return folder


def champion_or_pretrained(session: Session) -> str:
    """Folder of the bundle that the registry calls champion, or of the one that comes with the package.

    Raises:
        UserError: neither is there.
    """
    if session.settings.tracking_uri or session.workspace.exists("mlflow.db"):  # else asking would create a database
        try:
            return session.registry.resolve(NAME, CHAMPION)
        except UserError as error:
            session.progress.say(f"using the bundle that comes with the package: {error}")
    return pretrained_folder("generator")


def pretrained_folder(kind: str) -> str:
    """Folder of a bundle that comes with the package.

    Raises:
        UserError: this installation has none of that kind.
    """
    folder = Path(str(files("models"))) / "pretrained" / kind
    if not (folder / MANIFEST).is_file():
        raise UserError(f"nothing is promoted and {folder} is missing; run `seedbed demo`, or give --set bundle=FOLDER")
    return str(folder)
