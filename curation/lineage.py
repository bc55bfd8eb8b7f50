"""From a selection back to the rows, licences and authors that a training run saw, and from rows forwards to what shows them.

The walk is pure: it is given the selection as a table and a `Lookup` that finds picture rows by id, so the same code serves
a local table, an object store and a test. Pictures that were composed from others are followed through ``parents`` until
rows that came from a source are reached; those rows carry the licence.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from typing import NamedTuple, cast, get_args

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from curation.tables import Split, TableRef, open_table, picture_columns, pictures_named
from curation.tasks import Task

PROVENANCE_COLUMNS: tuple[str, ...] = (
    "id", "source", "locator", "text_en", "licence", "attribution", "split", "parents", "derivation",
)
"""What the walk reads of ``images``: everything that says where a picture is from, and no pixels."""

Lookup = Callable[[Set[str]], Iterable[pa.RecordBatch]]
"""Finds rows of ``images`` by id and gives their `PROVENANCE_COLUMNS`; ids that are not there are left out."""


class PictureRow(BaseModel, frozen=True, extra="forbid"):
    """One picture a training run saw, or a picture that it was composed from."""

    id: str
    source: str
    locator: str
    text: str
    licence: str
    attribution: str
    parents: tuple[str, ...]
    """Ids it was composed from; empty for a row that came from a source."""
    operation: str
    """What was done to the parents, "" for a row that came from a source."""
    tasks: tuple[Task, ...]
    """What it was used for, directly or through a picture composed from it."""


class Evidence(BaseModel, frozen=True, extra="forbid"):
    """What a selection shows a training run, down to the sources."""

    table: TableRef
    split: Split
    samples: dict[str, int]
    """Samples per task."""
    num_pictures: int
    """Pictures that the samples name, as target or as reference."""
    num_composed: int
    """Rows made from other rows, ancestors included."""
    sources: dict[str, int]
    """Source rows per source."""
    licences: dict[str, int]
    """Source rows per licence."""
    attributions: dict[str, int]
    """Source rows per attribution line."""
    missing: tuple[str, ...]
    """Ids that the selection or a composed row names and the table does not hold."""
    rows: tuple[PictureRow, ...]
    """Every row reached, source rows first, by id."""


class SampleUse(BaseModel, frozen=True, extra="forbid"):
    """One sample of a selection."""

    sample_id: str
    task: Task
    split: Split
    weight: float


class Walk(NamedTuple):
    """Rows reached from some pictures through their parents."""

    rows: tuple[PictureRow, ...]
    missing: tuple[str, ...]


def samples_per_task(selection: pa.Table, split: Split) -> dict[str, int]:
    """Number of samples of `split` for each task, tasks without a sample left out."""
    return dict(sorted(Counter(_of_split(selection, split).column("task").to_pylist()).items()))


def uses_of_pictures(selection: pa.Table, split: Split) -> dict[str, frozenset[Task]]:
    """Ids of all pictures that samples of `split` name, with the tasks they serve."""
    chosen = _of_split(selection, split)
    uses: dict[str, frozenset[Task]] = defaultdict(frozenset)
    for row in chosen.select(["task", *picture_columns(chosen.schema)]).to_pylist():
        for picture in pictures_named(row):
            uses[picture] |= frozenset((_task(row["task"]),))
    return dict(uses)


def walk_to_sources(uses: Mapping[str, frozenset[Task]], lookup: Lookup) -> Walk:
    """Rows of the pictures in `uses` and of everything they were composed from; each row is looked up once."""
    found: dict[str, PictureRow] = {}
    asked: frozenset[str] = frozenset()
    wanted = frozenset(uses)
    while wanted:
        asked |= wanted
        reached = {row.id: row for row in _rows(lookup(wanted))}
        found |= reached
        wanted = frozenset(parent for row in reached.values() for parent in row.parents) - asked
    tasks = _inherited(uses, found)
    rows = [row.model_copy(update={"tasks": _ordered(tasks[row.id])}) for row in found.values()]
    return Walk(
        rows=tuple(sorted(rows, key=lambda row: (bool(row.parents), row.id))),
        missing=tuple(sorted(asked - found.keys())),
    )


def gather_evidence(table: TableRef, selection: pa.Table, walk: Walk, *, split: Split) -> Evidence:
    """Counts over a finished walk; licences and authors are counted on source rows alone."""
    sources = [row for row in walk.rows if not row.parents]
    return Evidence(
        table=table,
        split=split,
        samples=samples_per_task(selection, split),
        num_pictures=len(uses_of_pictures(selection, split)),
        num_composed=len(walk.rows) - len(sources),
        sources=_count(row.source for row in sources),
        licences=_count(row.licence for row in sources),
        attributions=_count(row.attribution for row in sources),
        missing=walk.missing,
        rows=walk.rows,
    )


def trace_selection(images: TableRef, selection: TableRef, *, split: Split = "train") -> Evidence:
    """Everything that a run saw which trained on `split` of `selection` over `images`.

    Args:
        images: pinned reference to the ``images`` table.
        selection: pinned reference to the selection, itself a table.

    Raises:
        UnpinnedTable: a reference has no version.
        MissingTable: a table or that version of it does not exist.
    """
    dataset = open_table(selection)
    chosen = dataset.to_table(columns=["task", *picture_columns(dataset.schema), "split"])
    walk = walk_to_sources(uses_of_pictures(chosen, split), lookup_in(images))
    return gather_evidence(images.model_copy(update={"selection": selection.uri}), chosen, walk, split=split)


def descendants_of(images: TableRef, ids: Collection[str]) -> frozenset[str]:
    """Ids of all rows composed from these, through all generations; without these themselves."""
    rows = open_table(images).to_table(columns=["id", "parents"]).to_pylist()
    composed = {row["id"]: frozenset(row["parents"]) for row in rows if row["parents"]}
    roots = frozenset(ids)
    reached: frozenset[str] = roots
    while fresh := {row_id for row_id, parents in composed.items() if row_id not in reached and parents & reached}:
        reached |= fresh
    return reached - roots


def samples_showing(selection: TableRef, ids: Collection[str]) -> tuple[SampleUse, ...]:
    """Samples of a selection that have one of the pictures as target or reference."""
    wanted = frozenset(ids)
    dataset = open_table(selection)
    columns = ["sample_id", "task", *picture_columns(dataset.schema), "split", "weight"]
    return tuple(
        SampleUse(sample_id=row["sample_id"], task=_task(row["task"]), split=row["split"], weight=row["weight"])
        for batch in dataset.to_batches(columns=columns)
        for row in batch.to_pylist()
        if not wanted.isdisjoint(pictures_named(row))
    )


def lookup_in(images: TableRef) -> Lookup:
    """Looks rows up in the table by one pass over its provenance columns, so no index is needed."""
    dataset = open_table(images)

    def lookup(ids: Set[str]) -> Iterable[pa.RecordBatch]:
        is_wanted = pc.field("id").isin(sorted(ids))
        for batch in dataset.to_batches(columns=list(PROVENANCE_COLUMNS)):
            yield batch.filter(is_wanted)

    return lookup


def _of_split(selection: pa.Table, split: Split) -> pa.Table:
    return selection.filter(pc.field("split") == split)


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterable[PictureRow]:
    for batch in batches:
        for row in batch.select(list(PROVENANCE_COLUMNS)).to_pylist():
            yield PictureRow(
                id=row["id"],
                source=row["source"],
                locator=row["locator"],
                text=row["text_en"],
                licence=row["licence"],
                attribution=row["attribution"],
                parents=tuple(row["parents"]),
                operation=_operation(row["derivation"]),
                tasks=(),
            )


def _operation(derivation: str) -> str:
    """Name of the operation in a derivation, or the derivation itself when it does not name one."""
    if not derivation:
        return ""
    content = json.loads(derivation)
    named = content.get("kind") if isinstance(content, dict) else None
    return named if isinstance(named, str) else derivation


def _inherited(uses: Mapping[str, frozenset[Task]], found: Mapping[str, PictureRow]) -> dict[str, frozenset[Task]]:
    """The uses of all rows found, where every ancestor has the tasks of what was composed from it."""
    tasks = {picture: uses.get(picture, frozenset()) for picture in found}
    pending = list(found)
    while pending:
        row = found[pending.pop()]
        for parent in row.parents:
            if parent in tasks and not tasks[row.id] <= tasks[parent]:
                tasks[parent] |= tasks[row.id]
                pending.append(parent)
    return tasks


def _task(name: str) -> Task:
    assert name in get_args(Task), f"selection names task {name!r}, expected one of {get_args(Task)}"
    return cast(Task, name)


def _ordered(tasks: Set[Task]) -> tuple[Task, ...]:
    return tuple(task for task in get_args(Task) if task in tasks)


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
