"""Taking pictures down: which rows are meant, what is kept of them so that they never come back, and the record of it.

A request names rows by id, by the SHA-256 of the file, by nearness to a perceptual hash, or by source. What it reaches is more:

* rows with the very same bytes, under whatever id, since bytes that stay in one place are not gone (not for a source, which is
  withdrawn as such: an equal picture that another source gives under its own licence stays);
* pictures composed from any of these, through all generations.

The record is written before anything is erased, one JSON file a takedown under ``takedowns/`` in the workspace, so that a
command that was killed is finished by the same command: what was already erased can no longer be found, but is on record.
From that moment `ingest` passes over the ids and sources, `pairs` does not compose the pictures again, and `curate` sets aside
whatever has one of the hashes.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

import lance
import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from curation.blocked import Blocked, Near
from curation.signals import hashes
from curation.tables import HASHES_SCHEMA, IMAGES_SCHEMA, TableRef, open_table, picture_columns, pictures_named
from curation.traces import Search, Trace, trace_of
from infra.errors import UserError
from infra.storage import Workspace, digest_of

FOLDER = "takedowns"
_ROWS_AT_ONCE = 64

Why = Literal["named", "equal", "composed"]


class Request(BaseModel, frozen=True, extra="forbid"):
    """What is to be taken down; any of these."""

    ids: tuple[str, ...] = ()
    exact_hashes: tuple[str, ...] = ()
    near: tuple[Near, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Name of the takedown: the same request is the same takedown."""
        return digest_of(self)


class Row(BaseModel, frozen=True, extra="forbid"):
    """A row that is taken down."""

    id: str
    source: str
    locator: str
    exact_hash: str
    """"" when it has no bytes."""
    why: Why


class Succession(BaseModel, frozen=True, extra="forbid"):
    """A selection that named rows, and the one that takes its place."""

    old: str
    successor: str
    removed: tuple[str, ...]
    """Samples that the successor lacks."""


class Affected(BaseModel, frozen=True, extra="forbid"):
    """Everything that a takedown reaches."""

    rows: tuple[Row, ...] = ()
    pairs: tuple[str, ...] = ()
    """Ids of edits and compositions that point at the rows."""
    selections: tuple[Succession, ...] = ()
    fits: tuple[str, ...] = ()
    """Training runs that drew the rows."""
    bundles: tuple[str, ...] = ()
    """Folders of the bundles that those runs made, and of all that build on them. They are named, not erased."""
    unreadable_bundles: tuple[str, ...] = ()
    """Folders of bundles of another format, which may have seen the rows."""
    places: tuple[str, ...] = ()
    """Files and folders of the workspace with pictures made from the rows; erased as a whole, job records keep the scores."""
    exports: tuple[str, ...] = ()
    """Files with pictures of the rows that were written where the user asked. They are named, not erased."""

    @property
    def is_anything_left(self) -> bool:
        """Whether there is something to erase."""
        return any((self.rows, self.pairs, self.selections, self.places))

    def joined(self, other: "Affected") -> "Affected":
        """Both together, each thing once; the other's word counts for things that both name."""
        return Affected(
            rows=tuple({row.id: row for row in (*self.rows, *other.rows)}.values()),
            pairs=_once(self.pairs, other.pairs),
            selections=tuple({one.old: one for one in (*other.selections, *self.selections)}.values()),
            fits=_once(self.fits, other.fits),
            bundles=_once(self.bundles, other.bundles),
            unreadable_bundles=_once(self.unreadable_bundles, other.unreadable_bundles),
            places=_once(self.places, other.places),
            exports=_once(self.exports, other.exports),
        )


class Record(BaseModel, frozen=True, extra="forbid"):
    """A takedown, from the moment before the first erasure on."""

    id: str
    request: Request
    reason: str
    """Why, in the words of whoever asked; "" when nothing was said."""
    begun: datetime
    finished: datetime | None
    """None while something may be left to erase."""
    affected: Affected
    traces: tuple[Trace, ...]
    """What is searched for."""
    found_before: tuple[str, ...]
    """Ids of pictures that the same search found before anything was erased; shows that it can find them."""


class Certificate(BaseModel, frozen=True, extra="forbid"):
    """The proof, stored beside the record."""

    takedown: str
    searched: datetime
    num_pictures: int
    """Pictures that were looked for."""
    num_found_before: int
    """Pictures that the same search had found before."""
    searches: tuple[Search, ...]
    is_erased: bool
    """Whether no file holds any of the pictures."""
    is_proven: bool
    """Whether moreover the same search had found every one of them before, so that it would find what is left."""
    not_reached: tuple[str, ...]
    """Places that may hold copies and that this command does not touch."""


def read_blocked(workspace: Workspace) -> Blocked:
    """What all takedowns of a workspace forbid, finished or not."""
    records = read_records(workspace)
    return Blocked(
        ids=frozenset(row_id for one in records for row_id in (*one.request.ids, *(row.id for row in one.affected.rows))),
        sources=frozenset(source for one in records for source in one.request.sources),
        exact_hashes=frozenset(found for one in records for found in _blocked_hashes(one)),
        near=tuple(near for one in records for near in one.request.near),
    )


def read_records(workspace: Workspace) -> list[Record]:
    """All takedowns of a workspace, the oldest first."""
    names = [name for name in workspace.names(FOLDER, "*.json") if not name.endswith(".certificate.json")]
    found = [Record.model_validate_json(workspace.read_text(FOLDER, name)) for name in names]
    return sorted(found, key=lambda one: one.begun)


def read_record(workspace: Workspace, request: Request) -> Record | None:
    """The takedown of this request; None when it was never begun."""
    return next((one for one in read_records(workspace) if one.id == request.digest), None)


def write_record(workspace: Workspace, record: Record) -> None:
    """Store the record in place of an earlier state of it."""
    workspace.write_text(record.model_dump_json(indent=1), FOLDER, f"{record.id}.json")


def write_certificate(workspace: Workspace, certificate: Certificate) -> str:
    """Store the certificate; gives its place."""
    parts = (FOLDER, f"{certificate.takedown}.certificate.json")
    workspace.write_text(certificate.model_dump_json(indent=1), *parts)
    return workspace.uri(*parts)


def rows_meant(images: TableRef, request: Request, *, noted: frozenset[str] = frozenset()) -> tuple[Row, ...]:
    """The rows that a request names, those with equal bytes, and all that was composed from them.

    Args:
        noted: ids that an earlier try found; they may be gone, what was composed from them is still meant.

    Raises:
        UserError: nearness is asked for and no row has a perceptual hash yet.
    """
    rows = _described(images)
    if request.near and not len(np.flatnonzero(rows["perceptual_hash"].is_valid())):
        raise UserError(f"no picture of {images.uri} has a perceptual hash yet; run `seedbed curate` first")
    meant = Blocked(noted.union(request.ids), frozenset(request.sources), frozenset(request.exact_hashes), request.near)
    named = rows.filter(pa.array(meant.matches(rows)))["id"].to_pylist()
    why: dict[str, Why] = {**dict.fromkeys(noted, "named"), **dict.fromkeys(named, "named")}
    lines = rows.select(["id", "source", "locator", "exact_hash", "parents"]).to_pylist()
    while True:
        fresh = dict(_reached(lines, why, with_equal=not request.sources))
        if not fresh:
            break
        why |= fresh
    return tuple(
        Row(id=one["id"], source=one["source"], locator=one["locator"], exact_hash=one["exact_hash"] or "", why=why[one["id"]])
        for one in lines
        if one["id"] in why
    )


def pairs_pointing_at(pairs: TableRef, ids: Collection[str]) -> tuple[str, ...]:
    """Ids of pairs that have one of the pictures as target or reference."""
    wanted = frozenset(ids)
    dataset = open_table(pairs)
    rows = dataset.to_table(columns=["id", *picture_columns(dataset.schema)]).to_pylist()
    return tuple(row["id"] for row in rows if not wanted.isdisjoint(pictures_named(row)))


def traces_of(images: TableRef, rows: Sequence[Row]) -> tuple[Trace, ...]:
    """Traces of the rows' pictures, equal ones once; not of those whose equals stay in the table."""
    ids = frozenset(row.id for row in rows)
    described = _described(images).select(["id", "exact_hash"]).to_pylist()
    staying = {one["exact_hash"] for one in described if one["id"] not in ids}
    traces = (trace_of(row_id, encoded) for row_id, encoded in _pictures(open_table(images), where=None) if row_id in ids)
    return tuple({trace.sha256: trace for trace in traces if trace.sha256 not in staying}.values())


def begin(request: Request, *, reason: str, affected: Affected, traces: Sequence[Trace], found_before: Sequence[str]) -> Record:
    """The record of a takedown before anything was erased."""
    return Record(
        id=request.digest, request=request, reason=reason, begun=datetime.now(UTC), finished=None, affected=affected,
        traces=tuple(traces), found_before=tuple(found_before),
    )  # fmt: skip


def _blocked_hashes(record: Record) -> Iterator[str]:
    """Exact hashes that must not come back; equal pictures of other sources may when a source is withdrawn."""
    yield from record.request.exact_hashes
    if not record.request.sources:
        yield from (row.exact_hash for row in record.affected.rows if row.exact_hash)


def _reached(lines: Sequence[dict], why: dict[str, Why], *, with_equal: bool) -> Iterator[tuple[str, Why]]:
    """Rows that the rows found so far lead to and that are not among them."""
    equal = {one["exact_hash"] for one in lines if one["id"] in why and one["exact_hash"]} if with_equal else set()
    for one in lines:
        if one["id"] in why:
            continue
        if one["exact_hash"] in equal:
            yield one["id"], "equal"
        elif not why.keys().isdisjoint(one["parents"]):
            yield one["id"], "composed"


def _described(images: TableRef) -> pa.Table:
    """Where the rows are from, and their hashes.

    Exact ones are computed here where the table has none of the present version; perceptual ones are null there.
    """
    dataset = open_table(images)
    is_measured = set(hashes.SIGNAL.schema.names) <= set(dataset.schema.names)
    own = ["exact_hash", "perceptual_hash", hashes.SIGNAL.version_column] if is_measured else []
    rows = dataset.to_table(columns=["id", "source", "locator", "parents", *own]).to_pylist()
    fresh = {
        row_id: hashes.exact_hash(encoded)
        for row_id, encoded in _pictures(dataset, where=hashes.SIGNAL.todo if is_measured else None)
    }
    for row in rows:
        is_present = row.get(hashes.SIGNAL.version_column) == hashes.SIGNAL.version
        row["exact_hash"] = row["exact_hash"] if is_present else fresh.get(row["id"])
        row["perceptual_hash"] = row["perceptual_hash"] if is_present else None
    return pa.Table.from_pylist(rows, schema=_DESCRIBED_SCHEMA)


_DESCRIBED_SCHEMA = pa.schema(
    [
        *(IMAGES_SCHEMA.field(name) for name in ("id", "source", "locator", "parents")),
        *(HASHES_SCHEMA.field(name) for name in ("exact_hash", "perceptual_hash")),
    ]
)


def _pictures(dataset: lance.LanceDataset, *, where: str | None) -> Iterator[tuple[str, bytes]]:
    """Ids and bytes of rows that have bytes, a few at a time."""
    filled = "image IS NOT NULL" if where is None else f"image IS NOT NULL AND ({where})"
    for batch in dataset.to_batches(columns=["id", "image"], filter=filled, batch_size=_ROWS_AT_ONCE):
        yield from zip(batch["id"].to_pylist(), batch["image"].to_pylist(), strict=True)


def _once(*parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for part in parts for one in part))
