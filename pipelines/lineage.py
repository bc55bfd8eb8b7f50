"""From a served picture back to what the model behind it has seen: ``seedbed lineage FILE [--json] [--rows N]``.

The walk goes picture → bundle (by the digest in the picture) → run and its record → selection and table version → source rows
with licence and attribution, and again for every parent bundle. A bundle that was promoted carries the answer to its own part
in ``evidence.json``, so the walk also ends at the sources where the tables themselves were left behind.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from curation.lineage import Evidence, PictureRow, trace_selection
from curation.tables import MissingTable, TableRef
from infra.errors import UserError
from infra.settings import CODE_ROOT, Settings
from infra.storage import Workspace
from models.bundle import MANIFEST, Manifest, read_manifest
from pipelines.job import Outcome
from pipelines.serve.stamp import Stamp, read_stamp

EVIDENCE_FILE = "evidence.json"


class BundleStep(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One bundle on the way back."""

    digest: str
    kind: str
    folder: str
    """"" when the bundle is not on this machine; then nothing below is known."""
    run: str
    record: str
    """The job record that names the run, "" when this workspace has none."""
    tables: tuple[TableRef, ...]
    evidence: Evidence | None
    note: str
    """Why there is no evidence, "" when there is."""
    parents: tuple["BundleStep", ...]


class PictureLineage(BaseModel, frozen=True, extra="forbid"):
    """The whole way back from one picture."""

    file: str
    stamp: Stamp
    bundle: BundleStep


class Node(NamedTuple):
    """A line of the tree and what hangs below it."""

    text: str
    children: tuple["Node", ...] = ()


def command(arguments: Sequence[str], settings: Settings) -> int:
    """The ``lineage`` command; prints a tree, or JSON with every row.

    Raises:
        UserError: the file carries no stamp, or its bundle is not here.
    """
    about = "from a generated picture back to its sources"
    parser = argparse.ArgumentParser(prog="seedbed lineage", description=about, allow_abbrev=False)
    parser.add_argument("file", type=Path, metavar="FILE", help="PNG as it was served")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    parser.add_argument("--rows", type=int, default=10, metavar="N", help="source rows shown for each bundle [10]")
    flags = parser.parse_args(arguments)
    lineage = trace_picture(flags.file, Workspace(settings.root))
    if flags.json:
        print(lineage.model_dump_json(indent=2))
    else:
        print("\n".join(tree_lines(lineage, num_rows=flags.rows)))
    return 0


def trace_picture(file: Path, workspace: Workspace) -> PictureLineage:
    """The way back from a served picture.

    Raises:
        UserError: the file carries no stamp, or its bundle is neither in the workspace nor in the package.
    """
    stamp = read_stamp(file)
    bundle = trace_bundle(stamp.bundle, workspace)
    if not bundle.folder:
        places = f"neither in {workspace.root} nor in the package"
        raise UserError(f"{file} was made by bundle {stamp.bundle}, which is {places}; give the --root it was made in")
    return PictureLineage(file=str(file), stamp=stamp, bundle=bundle)


def trace_bundle(digest: str, workspace: Workspace) -> BundleStep:
    """The way back from a bundle; one that is not on this machine is named and left at that."""
    for folder in bundle_folders(workspace):
        manifest = read_manifest(folder)
        if manifest.digest == digest:
            return _step(folder, manifest, workspace)
    note = "this bundle is not on this machine"
    return BundleStep(digest=digest, kind="", folder="", run="", record="", tables=(), evidence=None, note=note, parents=())


def keep_evidence(folder: Path) -> None:
    """Writes what a bundle has seen beside it while its tables are still there; done once, as a bundle never changes.

    Raises:
        MissingTable: a table, or that version of it, is gone.
    """
    place = folder / EVIDENCE_FILE
    evidence = None if place.is_file() else _traced(read_manifest(folder))
    if evidence is not None:
        part = place.with_suffix(".part")
        part.write_text(evidence.model_dump_json(), encoding="utf-8")
        part.replace(place)


def tree_lines(lineage: PictureLineage, *, num_rows: int) -> list[str]:
    """The way back as an indented tree."""
    made_from = f", from {lineage.stamp.references} pictures" if lineage.stamp.references else ""
    head = f"{lineage.file}  (seed {lineage.stamp.seed}{made_from})"
    return _drawn(Node(head, (_bundle_node(lineage.bundle, num_rows),)))


def _step(folder: Path, manifest: Manifest, workspace: Workspace) -> BundleStep:
    evidence, note = _evidence(folder, manifest)
    return BundleStep(
        digest=manifest.digest,
        kind=manifest.contents.kind,
        folder=str(folder),
        run=manifest.lineage.run_id,
        record=_record_of(manifest.lineage.run_id, workspace),
        tables=_tables(manifest),
        evidence=evidence,
        note=note,
        parents=tuple(trace_bundle(parent, workspace) for parent in manifest.lineage.parents),
    )


def bundle_folders(workspace: Workspace) -> Iterator[Path]:
    """Every bundle of the workspace, then those that come with the package."""
    places = [CODE_ROOT / "models" / "pretrained"]
    if not workspace.is_remote:
        places.insert(0, workspace.local("bundles"))
    for place in places:
        for file in sorted(place.glob(f"**/{MANIFEST}")):
            yield file.parent


def _evidence(folder: Path, manifest: Manifest) -> tuple[Evidence | None, str]:
    """What the bundle has seen, or why that cannot be said."""
    kept = folder / EVIDENCE_FILE
    if kept.is_file():
        return Evidence.model_validate_json(kept.read_text(encoding="utf-8")), ""
    try:
        evidence = _traced(manifest)
    except MissingTable as error:
        return None, str(error)
    return evidence, "" if evidence else "the bundle names no images table"


def _traced(manifest: Manifest) -> Evidence | None:
    images = [table for table in _tables(manifest) if Path(table.uri).stem == "images"]
    if not images:
        return None
    chosen = manifest.lineage.selection
    return trace_selection(images[0], TableRef(uri=chosen.uri, version=chosen.version))


def _tables(manifest: Manifest) -> tuple[TableRef, ...]:
    return tuple(TableRef(uri=table.uri, version=table.version) for table in manifest.lineage.tables)


def _record_of(run_id: str, workspace: Workspace) -> str:
    if workspace.is_remote or not run_id:
        return ""
    for file in sorted(workspace.local("jobs").glob("*.json")):
        if Outcome.model_validate_json(file.read_text(encoding="utf-8")).run_id == run_id:
            return str(file)
    return ""


def _bundle_node(step: BundleStep, num_rows: int) -> Node:
    run = Node(f"run {step.run}  {step.record}".rstrip())
    tables = (Node(f"table {table.uri}  version {table.version}") for table in step.tables)
    evidence = _evidence_nodes(step.evidence, num_rows) if step.evidence else (Node(f"no source rows: {step.note}"),)
    parents = (Node("parent", (_bundle_node(parent, num_rows),)) for parent in step.parents)
    known = (run, *tables, *evidence, *parents) if step.folder else evidence
    return Node(f"bundle {step.digest}  {step.kind}  {step.folder}".rstrip(), known)


def _evidence_nodes(evidence: Evidence, num_rows: int) -> tuple[Node, ...]:
    pictures = f"{evidence.num_pictures} pictures, {evidence.num_composed} of them composed"
    seen = Node(f"{evidence.split} samples: {_counts(evidence.samples)}; {pictures}")
    sources = [row for row in evidence.rows if not row.parents]
    shown = [_row_text(row) for row in sources[:num_rows]]
    if len(sources) > num_rows:
        shown.append(f"… {len(sources) - num_rows} more (--rows {len(sources)}, or --json)")
    if evidence.missing:
        shown.append(f"{len(evidence.missing)} ids are named and not in the table, the first is {evidence.missing[0]}")
    licences = (f"{licence or 'licence not stated'}: {count}" for licence, count in evidence.licences.items())
    authors = (f"by {author or 'an unnamed author'}: {count}" for author, count in evidence.attributions.items())
    rows = tuple(Node(text) for text in (*licences, *islice(authors, num_rows), *shown))
    return Node(f"selection {evidence.table.selection}", (seen,)), Node(f"source rows: {_counts(evidence.sources)}", rows)


def _drawn(node: Node) -> list[str]:
    lines = [node.text]
    for number, child in enumerate(node.children, start=1):
        branch, indent = ("└─ ", "   ") if number == len(node.children) else ("├─ ", "│  ")
        first, *rest = _drawn(child)
        lines += [branch + first, *(indent + line for line in rest)]
    return lines


def _row_text(row: PictureRow) -> str:
    return f"{row.id}  “{row.text}”  {row.licence or 'licence not stated'}  ({', '.join(row.tasks)})"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
