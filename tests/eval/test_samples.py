from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from curation.decode import encode_png, training_view
from curation.tables import IMAGES_SCHEMA, SELECTION_SCHEMA, TableRef
from eval.samples import MissingRows, choose, ids_of, load_pictures


def selection(num: int) -> pa.Table:
    rows = [
        {"sample_id": f"s{n}", "task": "edit" if n % 3 == 0 else "t2i", "target_id": f"t{n}",
         "reference_ids": ["r"] if n % 3 == 0 else [], "further_ids": [], "tags": [],
         "texts": ["short", "medium", "long"], "text_weights": [0.2, 0.3, 0.5],
         "score_text": "seen", "split": "heldout" if n % 5 == 0 else "train", "weight": 1.0}
        for n in range(num)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SELECTION_SCHEMA)


def test_choice_is_by_task_and_split_and_the_larger_one_begins_with_the_smaller() -> None:
    table = selection(100)
    few = choose(table, task="t2i", split="train", num=5, level="medium", seed=1)
    many = choose(table, task="t2i", split="train", num=50, level="medium", seed=1)
    assert many[:5] == few
    assert {(sample.task, sample.split, sample.prompt) for sample in many} == {("t2i", "train", "medium")}
    assert choose(table, task="t2i", split="train", num=5, level="medium", seed=2) != few
    assert choose(table, task="edit", split="heldout", num=0, level="medium", seed=1) == []


def test_the_order_of_the_selection_does_not_matter() -> None:
    table = selection(60)
    shuffled = table.take(pa.array(np.random.default_rng(0).permutation(60)))
    assert choose(shuffled, task="edit", split="train", num=9, level="short", seed=0) == choose(
        table, task="edit", split="train", num=9, level="short", seed=0
    )


def test_noise_and_file_belong_to_the_sample_and_its_prompt() -> None:
    short, long = (choose(selection(9), task="t2i", split="train", num=2, level=level, seed=0) for level in ("short", "long"))
    assert short[0].seed(7) == long[0].seed(7) != short[1].seed(7)
    assert short[0].seed(7) != short[0].seed(8)
    assert len({sample.file_stem for sample in (*short, *long)}) == 4


def test_missing_levels_fall_back_to_the_longest_there_is() -> None:
    table = selection(2).set_column(5, "texts", pa.array([["only"], ["only"]], pa.list_(pa.string())))
    assert choose(table, task="t2i", split="train", num=1, level="long", seed=0)[0].prompt == "only"


@pytest.fixture
def images(tmp_path: Path) -> TableRef:
    empty = {field.name: "" for field in IMAGES_SCHEMA} | {"parents": []}
    rows = [
        empty | {"id": key, "image": encode_png(np.full((20, 10, 4), shade, dtype=np.uint8))}
        for key, shade in (("a", 10), ("b's", 255), ("c", 90))
    ]
    uri = str(tmp_path / "images.lance")
    return TableRef(uri=uri, version=lance.write_dataset(pa.Table.from_pylist(rows, schema=IMAGES_SCHEMA), uri).version)


def test_pictures_are_the_training_views_of_the_ids(images: TableRef) -> None:
    views = load_pictures(images, ["b's", "c", "c"], size_px=16)
    assert sorted(views) == ["b's", "c"]
    assert np.array_equal(views["c"], training_view(encode_png(np.full((20, 10, 4), 90, dtype=np.uint8)), 16))


def test_ids_that_the_table_lacks_are_named(images: TableRef) -> None:
    with pytest.raises(MissingRows, match=r"1 pictures .* 'gone'"):
        load_pictures(images, ["a", "gone"], size_px=16)


def test_ids_of_samples_are_targets_and_references() -> None:
    chosen = choose(selection(4), task="edit", split="train", num=9, level="short", seed=0)
    assert ids_of(chosen) == {"t3", "r"}
