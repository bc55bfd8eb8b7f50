"""Take pictures down: list what is affected, erase it, prove that it is gone, keep it from coming back.

``seedbed takedown (--id ID… | --hash HEX… | --near HEX --bits N | --source NAME…) [--reason TEXT] [--dry-run] [--yes]``

Steps (`STEPS`) are carried out in order after the record is written, each safe to break off and to repeat; the same command
finishes what was killed. Rows go from ``images`` and ``pairs`` with the versions and tags that held them; affected selections
get successors and close; pictures made from the rows go from evaluations, visits, MLflow's files, reports and the cache.
Weights of bundles stay and are named. No other job may run on the workspace meanwhile.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from curation import commit, staging
from curation.blocked import Near
from curation.selections import read_selection
from curation.tables import SupersededTable, TableRef, pin
from curation.takedown import (
    FOLDER,
    Affected,
    Certificate,
    Record,
    Request,
    Succession,
    begin,
    pairs_pointing_at,
    read_record,
    rows_meant,
    traces_of,
    write_certificate,
    write_record,
)
from curation.traces import Search, Trace, search
from infra.errors import UserError
from infra.settings import Settings
from infra.storage import Workspace
from pipelines import curate_report
from pipelines.curate_page import shows
from pipelines.exports import exports_showing
from pipelines.where_used import SelectionUse, images_table, uses_of

_SHOWN = 10


class Premises(NamedTuple):
    """Where a takedown looks and erases."""

    workspace: Workspace
    cache_dir: Path
    tracking_uri: str | None
    """MLflow server, None when runs are recorded in the workspace."""


Step = Callable[[Record, Premises], None]


def command(arguments: Sequence[str], settings: Settings) -> int:
    """The ``takedown`` command; prints what is affected, then what was done.

    Raises:
        UserError: the request cannot be understood, ``--yes`` is missing, or bytes were found after all.
    """
    flags = _parser().parse_args(arguments)
    request = _request(flags)
    premises = Premises(Workspace(settings.root), settings.cache_dir, settings.tracking_uri)
    known = read_record(premises.workspace, request)
    affected = survey(request, known, premises.workspace)
    if known and known.finished and not affected.is_anything_left:
        print(f"done before, on {known.finished:%Y-%m-%d}: {_certificate_place(known, premises.workspace)}")
        return 0
    print("\n".join(_lines(request, affected)))
    if flags.dry_run:
        return 0
    if not flags.yes:
        raise UserError("nothing was changed; this cannot be undone, so say the same with --yes (--dry-run only lists)")
    record = prepared(request, known, affected, reason=flags.reason, premises=premises)
    certificate = finish(record, premises)
    proof = "each was found before and none is left" if certificate.is_proven else "none is left, but not all were found before"
    searched = f"{sum(one.num_files for one in certificate.searches):,} files searched for {certificate.num_pictures:,} pictures"
    print(f"erased; {searched}: {proof}\n{_certificate_place(record, premises.workspace)}")
    return 0


def survey(request: Request, known: Record | None, workspace: Workspace) -> Affected:
    """What a request reaches at this moment, counting what an earlier try (`known`) noted.

    Raises:
        MissingTable: the workspace has no table of pictures.
    """
    images = images_table(workspace)
    noted = known.affected.rows if known else ()
    rows = rows_meant(images, request, noted=frozenset(row.id for row in noted))
    ids = {row.id for row in (*rows, *noted)}
    uses = uses_of(ids, workspace)
    return Affected(
        rows=rows,
        pairs=_pairs(ids, workspace),
        selections=tuple(_succession(use, request) for use in uses.selections),
        fits=uses.fits,
        bundles=uses.bundles,
        unreadable_bundles=uses.unreadable_bundles,
        places=(*_places(uses.evaluations, workspace), *_reports(ids, workspace)),
        exports=tuple(export.place for export in exports_showing(ids, workspace)),
    )


def prepared(request: Request, known: Record | None, affected: Affected, *, reason: str, premises: Premises) -> Record:
    """The record of the takedown, stored: from here on nothing of it comes in again. Joined with what an earlier try noted."""
    traces = traces_of(images_table(premises.workspace), affected.rows)
    fresh = begin(
        request, reason=reason, affected=affected, traces=traces,
        found_before=[hit.id for one in _searches(traces, premises) for hit in one.hits] if traces else [],
    )  # fmt: skip
    if known is not None:
        joined = {
            "affected": affected.joined(known.affected),
            "traces": tuple({trace.sha256: trace for trace in (*known.traces, *traces)}.values()),
            "found_before": tuple(dict.fromkeys((*known.found_before, *fresh.found_before))),
            "finished": None,
        }
        fresh = known.model_copy(update=joined)
    write_record(premises.workspace, fresh)
    return fresh


def finish(record: Record, premises: Premises) -> Certificate:
    """Carry out all steps and prove the result; gives the certificate, which is stored too.

    Raises:
        UserError: a file still holds a picture; the certificate names all of them.
    """
    for step in STEPS:
        step(record, premises)
    searches = _searches(record.traces, premises)
    hits = [(one.place, hit) for one in searches for hit in one.hits]
    certificate = Certificate(
        takedown=record.id, searched=datetime.now(UTC), num_pictures=len(record.traces),
        num_found_before=len(set(record.found_before)), searches=searches, is_erased=not hits,
        is_proven=not hits and {trace.id for trace in record.traces} <= set(record.found_before),
        not_reached=tuple(_not_reached(record, premises)),
    )  # fmt: skip
    place = write_certificate(premises.workspace, certificate)
    if hits:
        folder, first = hits[0]
        raise UserError(f"picture {first.id} is still in {folder}/{first.file} ({place} has all); delete that file, then repeat")
    write_record(premises.workspace, record.model_copy(update={"finished": certificate.searched}))
    return certificate


def erase_pictures_shown(record: Record, premises: Premises) -> None:
    """Evaluations, visits, MLflow's files and reports, where they hold pictures of the rows."""
    for place in record.affected.places:
        premises.workspace.delete(*place.split("/"))


def renew_selections(record: Record, premises: Premises) -> None:  # noqa: ARG001 (the form of a step)
    """Write every successor, then close the selection it takes the place of."""
    for one in record.affected.selections:
        try:
            rows = read_selection(one.old)
        except SupersededTable:
            continue
        stays = pc.invert(pc.is_in(rows["sample_id"], pa.array(one.removed, pa.string())))  # pyright: ignore[reportAttributeAccessIssue]
        notes = {"seedbed.predecessor": one.old, "seedbed.removed": "\n".join(one.removed), "seedbed.takedown": record.id}
        commit.write_successor(one.successor, rows.filter(stays), notes=notes)
        commit.supersede(one.old, one.successor)


def erase_pairs(record: Record, premises: Premises) -> None:
    """Rows of ``pairs`` that point at the pictures."""
    if record.affected.pairs:
        commit.erase_rows(premises.workspace.uri("tables", "pairs.lance"), record.affected.pairs)


def erase_images(record: Record, premises: Premises) -> None:
    """Rows of ``images``, with every version and tag that held them."""
    if record.affected.rows:
        commit.erase_rows(images_table(premises.workspace).uri, [row.id for row in record.affected.rows])


def clear_staging(record: Record, premises: Premises) -> None:
    """Values on their way into a table, which may be of the rows; jobs compute the others again."""
    if record.affected.rows:
        for name in ("images.lance", "pairs.lance"):
            staging.clear_table(premises.workspace.uri("tables", name))


def clear_cache(record: Record, premises: Premises) -> None:
    """Files of the cache that are one of the pictures."""
    sizes = {trace.num_bytes for trace in record.traces}
    digests = {trace.sha256 for trace in record.traces}
    files = [file for file in premises.cache_dir.rglob("*") if file.is_file()] if record.traces else []
    for file in files:
        if file.stat().st_size in sizes and hashlib.sha256(file.read_bytes()).hexdigest() in digests:
            file.unlink()


STEPS: tuple[Step, ...] = (erase_pictures_shown, renew_selections, erase_pairs, erase_images, clear_staging, clear_cache)
"""In this order: what is found through a row goes before the row."""


def _pairs(ids: Collection[str], workspace: Workspace) -> tuple[str, ...]:
    if not workspace.exists("tables", "pairs.lance"):
        return ()
    return pairs_pointing_at(pin(TableRef(uri=workspace.uri("tables", "pairs.lance"))), ids)


def _succession(use: SelectionUse, request: Request) -> Succession:
    successor = f"{use.uri.removesuffix('.lance')}-without-{request.digest}.lance"
    return Succession(old=use.uri, successor=successor, removed=tuple(sample.sample_id for sample in use.samples))


def _places(evaluations: Sequence[str], workspace: Workspace) -> Iterator[str]:
    """Evaluations, what was made from their pictures, and MLflow's copies of both."""
    digests = [one.rpartition("/")[2] for one in evaluations]
    yield from evaluations
    jobs = [f"evaluate-{digest}" for digest in digests]
    for file in workspace.names("jobs", "visit-*.yaml"):
        digest = file.removeprefix("visit-").removesuffix(".yaml")
        config = yaml.safe_load(workspace.read_text("jobs", file))
        if Path(config["evaluation"]).name in digests and workspace.exists("visits", digest):
            yield f"visits/{digest}"
            jobs.append(f"visit-{digest}")
    yield from _artifacts(jobs, workspace)
    if digests and workspace.exists("report.html"):
        yield "report.html"


def _reports(ids: Collection[str], workspace: Workspace) -> Iterator[str]:
    """Reports of curation that show one of the rows, and MLflow's copies."""
    for file in workspace.names(curate_report.FOLDER, "curate-*.html"):
        if shows(workspace.read_text(curate_report.FOLDER, file), ids):
            yield f"{curate_report.FOLDER}/{file}"
    for run_id in workspace.names("mlartifacts", "*"):             # by what they show: a killed job has left no record
        place = f"mlartifacts/{run_id}/artifacts"
        if any(shows(workspace.read_text(place, file), ids) for file in workspace.names(place, "curate-*.html")):
            yield f"mlartifacts/{run_id}"


def _artifacts(jobs: Sequence[str], workspace: Workspace) -> Iterator[str]:
    """Folders of what MLflow keeps of the runs of these jobs."""
    for job in jobs:
        if workspace.exists("jobs", f"{job}.json"):
            run_id = json.loads(workspace.read_text("jobs", f"{job}.json")).get("run_id")  # of any release
            if run_id and workspace.exists("mlartifacts", run_id):
                yield f"mlartifacts/{run_id}"


def _searches(traces: Sequence[Trace], premises: Premises) -> tuple[Search, ...]:
    return tuple(search(place, traces) for place in (premises.workspace.root, str(premises.cache_dir)))


def _certificate_place(record: Record, workspace: Workspace) -> str:
    return workspace.uri(FOLDER, f"{record.id}.certificate.json")


def _not_reached(record: Record, premises: Premises) -> Iterator[str]:
    yield from (f"the original at its source: {row.source} {row.locator}" for row in record.affected.rows if row.locator)
    yield from (f"weights of {bundle}, trained on the rows or built on such a bundle" for bundle in record.affected.bundles)
    yield from (f"weights of {one}, whose format is another and hides what it saw" for one in record.affected.unreadable_bundles)
    yield from (f"{file}, a page or sheet with pictures of the rows" for file in record.affected.exports)
    if premises.tracking_uri:
        yield f"files of runs on the MLflow server {premises.tracking_uri}"
    yield "backups and copies made outside of seedbed"


def _parser() -> argparse.ArgumentParser:
    about = "erase pictures and all that was made from them, prove it, and keep them out"
    parser = argparse.ArgumentParser(prog="seedbed takedown", description=about, allow_abbrev=False)
    parser.add_argument("--id", nargs="+", default=[], metavar="ID", dest="ids", help="rows by id")
    parser.add_argument("--hash", nargs="+", default=[], metavar="HEX", dest="hashes", help="pictures by SHA-256 of the file")
    parser.add_argument("--near", metavar="HEX", help="pictures that look like this perceptual hash (16 digits)")
    parser.add_argument("--bits", type=int, metavar="N", help="with --near: largest difference, 0 to 16")
    parser.add_argument("--source", nargs="+", default=[], metavar="NAME", dest="sources", help="all rows of a source")
    parser.add_argument("--reason", default="", metavar="TEXT", help="kept in the record")
    parser.add_argument("--dry-run", action="store_true", help="list what is affected, change nothing")
    parser.add_argument("--yes", action="store_true", help="erase without asking; it cannot be undone")
    return parser


def _request(flags: argparse.Namespace) -> Request:
    if (flags.near is None) != (flags.bits is None):
        raise UserError("--near needs --bits, and --bits needs --near: a perceptual hash and how far from it counts")
    if sum(map(bool, (flags.ids, flags.hashes, flags.near, flags.sources))) != 1:
        raise UserError("give one of --id, --hash, --near with --bits, --source; `seedbed takedown --help` shows them")
    digests = [_hexadecimal(text, 64, "--hash") for text in flags.hashes]
    near = [Near(perceptual_hash=int(_hexadecimal(flags.near, 16, "--near"), 16), bits=flags.bits)] if flags.near else []
    return Request(
        ids=tuple(sorted(flags.ids)), exact_hashes=tuple(sorted(digests)), near=tuple(near), sources=tuple(sorted(flags.sources))
    )


def _hexadecimal(text: str, num_digits: int, flag: str) -> str:
    text = text.lower().removeprefix("0x")
    if len(text) != num_digits or not set(text) <= set("0123456789abcdef"):
        raise UserError(f"{flag} {text!r}; expected {num_digits} hexadecimal digits (`seedbed why ID` shows a row's hashes)")
    return text


def _lines(request: Request, affected: Affected) -> list[str]:
    """What is affected, counts first and the first few of each."""
    found = {row.id for row in affected.rows}
    unknown = [one for one in request.ids if one not in found]
    listed = {
        "rows": [f"{row.id}  ({row.why})" for row in affected.rows],
        "pairs": list(affected.pairs),
        "selections": [f"{one.old}  -{len(one.removed)} samples -> {one.successor}" for one in affected.selections],
        "fits": list(affected.fits),
        "bundles": [f"{one}  (stays; its weights have seen the rows)" for one in affected.bundles],
        "unreadable": [f"{one}  (a bundle of another format; what it saw cannot be told)" for one in affected.unreadable_bundles],
        "pictures": list(affected.places),
        "exports": [f"{one}  (stays; delete it by hand)" for one in affected.exports],
    }
    lines = [f"takedown {request.digest}"]
    for name, names in listed.items():
        lines += [f"{name:<11} {len(names):,}", *(f"  {one}" for one in names[:_SHOWN])]
        lines += [f"  … {len(names) - _SHOWN:,} more"] if len(names) > _SHOWN else []
    return [*lines, *(f"not in the table, to be kept out all the same: {one}" for one in unknown)]
