from collections.abc import Iterable, Set
from pathlib import Path

import lance
import pyarrow as pa
import pytest

from curation.lineage import (
    PROVENANCE_COLUMNS,
    samples_per_task,
    trace_selection,
    uses_of_pictures,
    walk_to_sources,
)
from curation.tables import IMAGES_SCHEMA, SELECTION_SCHEMA, MissingTable, TableRef, UnpinnedTable, stamped

LICENCES = {"apple": "CC BY 4.0", "bear": "CC BY-SA 4.0", "cat": "CC BY 4.0"}


def picture(name: str, *parents: str, derivation: str = "") -> dict:
    row = {field.name: "" for field in IMAGES_SCHEMA} | {"id": name, "image": None}
    row |= {"parents": list(parents), "derivation": derivation}
    source = "composed" if parents else "emoji"
    return row | {"source": source, "text_en": name, "licence": LICENCES.get(name, ""), "attribution": f"the {name} artist"}


def sample(task: str, target: str, *references: str, split: str = "train") -> dict:
    row = {"sample_id": f"{task}/{target}", "task": task, "target_id": target, "reference_ids": list(references)}
    row |= {"further_ids": [], "tags": []}
    return row | {"texts": ["x"], "text_weights": [1.0], "score_text": "x", "split": split, "weight": 1.0}


IMAGES = pa.Table.from_pylist(
    [
        picture("apple"),
        picture("bear"),
        picture("cat"),
        picture("both", "apple", "bear", derivation='{"kind": "paste"}'),
        picture("mirrored", "both", derivation='{"axis": "x"}'),
    ],
    schema=IMAGES_SCHEMA,
)
SELECTION = pa.Table.from_pylist(
    [sample("t2i", "apple"), sample("compose", "mirrored", "apple", "bear"), sample("t2i", "cat", split="heldout")],
    schema=SELECTION_SCHEMA,
)


class CountingLookup:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, ids: Set[str]) -> Iterable[pa.RecordBatch]:
        self.asked += sorted(ids)
        rows = [row for row in IMAGES.to_pylist() if row["id"] in ids]
        return pa.Table.from_pylist(rows, schema=IMAGES_SCHEMA).select(list(PROVENANCE_COLUMNS)).to_batches()


def test_uses_hold_targets_and_references_of_one_split():
    assert uses_of_pictures(SELECTION, "train") == {
        "apple": {"t2i", "compose"}, "mirrored": {"compose"}, "bear": {"compose"},
    }  # fmt: skip
    assert uses_of_pictures(SELECTION, "heldout") == {"cat": {"t2i"}}
    assert samples_per_task(SELECTION, "train") == {"compose": 1, "t2i": 1}


def test_the_walk_reaches_every_ancestor_once_and_hands_its_tasks_down():
    lookup = CountingLookup()
    walk = walk_to_sources({"mirrored": frozenset({"edit"}), "apple": frozenset({"t2i"})}, lookup)
    assert sorted(lookup.asked) == ["apple", "bear", "both", "mirrored"]
    assert [row.id for row in walk.rows] == ["apple", "bear", "both", "mirrored"]
    assert {row.id: row.tasks for row in walk.rows} == {
        "apple": ("t2i", "edit"), "bear": ("edit",), "both": ("edit",), "mirrored": ("edit",),
    }  # fmt: skip
    assert {row.id: row.operation for row in walk.rows if row.parents} == {"both": "paste", "mirrored": '{"axis": "x"}'}


def test_ids_that_the_table_does_not_hold_are_listed():
    walk = walk_to_sources({"ghost": frozenset({"t2i"})}, CountingLookup())
    assert walk.rows == ()
    assert walk.missing == ("ghost",)


def test_a_circle_of_parents_ends():
    circle = pa.Table.from_pylist([picture("a", "b"), picture("b", "a")], schema=IMAGES_SCHEMA)
    walk = walk_to_sources({"a": frozenset({"edit"})}, lambda ids: [b for b in circle.to_batches() if ids])
    assert {row.id: row.tasks for row in walk.rows} == {"a": ("edit",), "b": ("edit",)}


@pytest.fixture
def images(tmp_path: Path) -> TableRef:
    uri = str(tmp_path / "images.lance")
    lance.write_dataset(IMAGES.cast(stamped(IMAGES_SCHEMA)), uri)
    lance.write_dataset(IMAGES.slice(0, 1), uri, mode="overwrite")     # a later version without the pictures: must not be read
    return TableRef(uri=uri, version=1)


def test_tables_are_read_at_their_version_and_licences_counted_on_sources(images: TableRef, tmp_path: Path):
    uri = str(tmp_path / "selection.lance")
    lance.write_dataset(SELECTION, uri)
    evidence = trace_selection(images, TableRef(uri=uri, version=1))
    assert evidence.licences == {"CC BY 4.0": 1, "CC BY-SA 4.0": 1}
    assert evidence.sources == {"emoji": 2}
    assert (evidence.num_pictures, evidence.num_composed, evidence.missing) == (3, 2, ())
    assert "cat" not in {row.id for row in evidence.rows}
    assert evidence.table.selection == uri


def test_an_unpinned_or_missing_table_is_refused(images: TableRef, tmp_path: Path):
    with pytest.raises(UnpinnedTable):
        trace_selection(images, TableRef(uri=images.uri))
    with pytest.raises(MissingTable, match="nothing"):
        trace_selection(images, TableRef(uri=str(tmp_path / "nothing.lance"), version=1))
