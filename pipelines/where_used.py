"""Everything in a workspace that saw a row, or any row of a source: ``seedbed where-used SOURCE|ID [--json]``.

A row is followed forwards: to pictures composed from it, to selections whose samples show any of these, to runs that trained on
such samples, to their bundles and all that build on them, and to evaluations that hold its picture.
"""

import argparse
from collections.abc import Collection, Iterator, Mapping, Sequence

import yaml
from pydantic import BaseModel

from curation.lineage import SampleUse, descendants_of, samples_showing
from curation.tables import SupersededTable, TableRef, open_table, pin
from curation.takedown import read_records
from eval.samples import picture_file
from infra.errors import UserError
from infra.settings import Settings
from infra.storage import Workspace
from models.bundle import BundleError, Manifest, read_manifest
from pipelines.lineage import bundle_folders


class SelectionUse(BaseModel, frozen=True, extra="forbid"):
    """A selection and those of its samples that show the rows."""

    uri: str
    samples: tuple[SampleUse, ...]


class Uses(BaseModel, frozen=True, extra="forbid"):
    """What saw some rows."""

    ids: tuple[str, ...]
    """The rows, and all that was composed from them."""
    selections: tuple[SelectionUse, ...]
    fits: tuple[str, ...]
    """Training runs, ended or not, as ``<name>-<digest>``."""
    bundles: tuple[str, ...]
    """Folders of bundles that were trained on the rows or build on one that was."""
    unreadable_bundles: tuple[str, ...]
    """Folders of bundles of another format: what they saw cannot be told."""
    evaluations: tuple[str, ...]
    """Evaluations that hold pictures of the rows, as ``evaluations/<digest>``."""
    takedowns: tuple[str, ...]
    """Takedowns that reach the rows, by their names; what they erased is no longer listed here."""


def command(arguments: Sequence[str], settings: Settings) -> int:
    """The ``where-used`` command.

    Raises:
        UserError: neither a row nor a source has that name.
    """
    about = "all selections, runs, bundles and evaluations that saw a row, or any row of a source"
    parser = argparse.ArgumentParser(prog="seedbed where-used", description=about, allow_abbrev=False)
    parser.add_argument("name", metavar="SOURCE|ID", help="name of a source, or id of a row")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    flags = parser.parse_args(arguments)
    workspace = Workspace(settings.root)
    uses = uses_of(ids_named(flags.name, workspace), workspace)
    print(uses.model_dump_json(indent=2) if flags.json else "\n".join(lines_of(uses)))
    return 0


def images_table(workspace: Workspace) -> TableRef:
    """The workspace's table of pictures, at its newest version.

    Raises:
        MissingTable: there is none.
    """
    return pin(TableRef(uri=workspace.uri("tables", "images.lance")))


def ids_named(name: str, workspace: Workspace) -> frozenset[str]:
    """The row of that id, or all rows of that source, those on record as taken down included.

    Raises:
        UserError: there is neither.
    """
    rows = open_table(images_table(workspace)).to_table(columns=["id", "source"]).to_pylist()
    erased = [{"id": row.id, "source": row.source} for record in read_records(workspace) for row in record.affected.rows]
    found = frozenset(row["id"] for row in (*rows, *erased) if name in (row["id"], row["source"]))
    if not found:
        sources = ", ".join(sorted({row["source"] for row in rows})) or "none"
        raise UserError(f"neither a row nor a source is called {name!r}; the sources are: {sources}")
    return found


def uses_of(ids: Collection[str], workspace: Workspace) -> Uses:
    """Everything that saw the rows or pictures composed from them."""
    reached = frozenset(ids) | descendants_of(images_table(workspace), ids)
    selections = tuple(_selections(reached, workspace))
    trained = {use.uri for use in selections if any(sample.split == "train" for sample in use.samples)}
    records = read_records(workspace)
    manifests, unreadable = _manifests(workspace)
    return Uses(
        ids=tuple(sorted(reached)),
        selections=selections,
        fits=tuple(_fits(trained, workspace)),
        bundles=tuple(_bundles(trained, manifests)),
        unreadable_bundles=unreadable,
        evaluations=tuple(_evaluations(reached, workspace)),
        takedowns=tuple(one.id for one in records if not reached.isdisjoint(row.id for row in one.affected.rows)),
    )


def lines_of(uses: Uses) -> list[str]:
    """The uses as lines of text, counts first."""
    lines = [f"{len(uses.ids)} rows, composed ones included"]
    lines.append(f"selections  {len(uses.selections)}")
    lines += [f"  {use.uri}  {len(use.samples)} samples" for use in uses.selections]
    for name in ("fits", "bundles", "evaluations", "takedowns"):
        found = getattr(uses, name)
        lines += [f"{name:<11} {len(found)}", *(f"  {one}" for one in found)]
    return [*lines, *(f"cannot tell what it saw, its format is another: {one}" for one in uses.unreadable_bundles)]


def _selections(ids: frozenset[str], workspace: Workspace) -> Iterator[SelectionUse]:
    for name in workspace.names("selections", "*.lance"):
        uri = workspace.uri("selections", name)
        try:
            samples = samples_showing(pin(TableRef(uri=uri)), ids)
        except SupersededTable:
            continue                                    # emptied; its successor is listed for itself
        if samples:
            yield SelectionUse(uri=uri, samples=samples)


def _fits(selections: Collection[str], workspace: Workspace) -> Iterator[str]:
    """Runs by the configurations that they left, so that one that is still under way or was broken off counts too."""
    for file in workspace.names("jobs", "fit-*.yaml"):
        config = yaml.safe_load(workspace.read_text("jobs", file))
        if config["data"]["selection"] in selections:
            yield f"{config['name']}-{file.removeprefix('fit-').removesuffix('.yaml')}"


def _manifests(workspace: Workspace) -> tuple[dict[str, Manifest], tuple[str, ...]]:
    """Manifests of all bundles by folder, and folders of those that this installation does not read."""
    found: dict[str, Manifest] = {}
    unreadable = []
    for folder in bundle_folders(workspace):
        try:
            found[str(folder)] = read_manifest(folder)
        except BundleError:
            unreadable.append(str(folder))
    return found, tuple(unreadable)


def _bundles(selections: Collection[str], manifests: Mapping[str, Manifest]) -> list[str]:
    found = {folder for folder, manifest in manifests.items() if manifest.lineage.selection.uri in selections}
    while fresh := _built_on({manifests[folder].digest for folder in found}, manifests) - found:
        found |= fresh
    return sorted(found)


def _built_on(digests: Collection[str], manifests: Mapping[str, Manifest]) -> set[str]:
    return {folder for folder, manifest in manifests.items() if not frozenset(manifest.lineage.parents).isdisjoint(digests)}


def _evaluations(ids: Collection[str], workspace: Workspace) -> Iterator[str]:
    wanted = {picture_file(row_id) for row_id in ids}
    for name in workspace.names("evaluations", "*"):
        held = {f"pictures/{file}" for file in workspace.names(f"evaluations/{name}/pictures", "*.png")}
        if not wanted.isdisjoint(held):
            yield f"evaluations/{name}"
