"""Samples: the selection joined to the pinned table, column by column."""

import pickle
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from curation.commit import supersede
from curation.tables import SELECTION_SCHEMA, MissingTable, SupersededTable, TableRef
from models.minilm import most_tokens
from train import samples as loading
from train.samples import Samples, UnusableTable, load_samples, require_latents

SHAPES = [[3, 2, 2], [3, 4, 2], [3, 1, 5], [3, 2, 2], [3, 6, 6], [3, 2, 3], [3, 1, 1], [3, 8, 2]]
"""Of the latents of pictures p0 to p7."""


def row(sample: str, target: str, references: list[str], texts: list[str], **changes: object) -> dict[str, object]:
    return {
        "sample_id": sample, "task": "edit" if references else "t2i", "target_id": target, "reference_ids": references,
        "further_ids": [], "tags": [], "texts": texts,
        "text_weights": [1 / len(texts)] * len(texts), "score_text": f"score of {target}",
        "split": "train", "weight": 1.0, **changes,
    }  # fmt: skip


LONG = "a long text of some words"
ROWS = [
    row("a", "p6", [], [LONG, "short"], weight=2.5),
    row("b", "p1", ["p0", "p4"], ["make it so"]),
    row("c", "p4", [], ["汉字" * 20], split="heldout"),
    row("d", "p3", ["p6"], ["x", "make it green"]),
    row("e", "p1", [], ["短"]),
]


def write(folder: Path, rows: list[dict[str, object]], **columns: pa.Array) -> TableRef:
    table = pa.table({"id": [f"p{i}" for i in range(len(SHAPES))], **columns})
    images = lance.write_dataset(table, str(folder / "images.lance"), max_rows_per_file=3)
    selection = pa.Table.from_pylist(rows, schema=SELECTION_SCHEMA)
    lance.write_dataset(selection, str(folder / "selection.lance"), max_rows_per_file=2)
    return TableRef(uri=str(folder / "images.lance"), version=images.version, selection=str(folder / "selection.lance"))


def shapes(**missing: int) -> pa.Array:
    return pa.array([None if i in missing.values() else shape for i, shape in enumerate(SHAPES)], pa.list_(pa.int32()))


@pytest.fixture
def ref(tmp_path: Path) -> TableRef:
    return write(tmp_path, ROWS, latent_shape=shapes())


@pytest.fixture
def samples(ref: TableRef) -> Samples:
    return load_samples(ref, "train", unit="noisy tokens")


def test_samples_stand_in_the_order_of_their_targets_rows(samples: Samples) -> None:
    assert [samples.id(i) for i in range(len(samples))] == ["b", "e", "d", "a"]
    assert [samples.rows(i) for i in range(len(samples))] == [(1, 0, 4), (1,), (3, 6), (6,)]
    assert samples.target_rows().tolist() == [1, 3, 6]


def test_every_column_follows_its_sample(samples: Samples) -> None:
    assert samples.texts(3) == (LONG, "short")
    assert samples.text_weights(3) == (0.5, 0.5)
    assert samples.score_text(3) == "score of p6"
    assert [samples.task(i) for i in range(4)] == ["edit", "t2i", "edit", "t2i"]
    assert samples.sizes.weights.tolist() == [1.0, 1.0, 1.0, 2.5]


def test_tokens_are_cells_of_latents_and_the_most_that_the_longest_text_takes(samples: Samples) -> None:
    longest = most_tokens(np.array([len(text.encode()) for text in ("make it so", "短", "make it green", LONG)]))
    assert samples.sizes.noisy_tokens.tolist() == [8, 8, 4, 1]
    assert samples.sizes.clean_tokens.tolist() == (longest + np.array([4 + 36, 0, 1, 0])).tolist()


def test_letters_of_texts_with_quotes_are_tokens_too(tmp_path: Path) -> None:
    rows = [row("a", "p3", [], ["a sign that says “OPEN”", LONG]), row("b", "p7", [], [LONG])]
    ref = write(tmp_path, rows, latent_shape=shapes())
    plain, spelt, capped = (load_samples(ref, "train", unit="noisy tokens", max_letters=most) for most in (0, 256, 5))
    more = spelt.sizes.clean_tokens - plain.sizes.clean_tokens
    assert more.tolist() == [len("a sign that says “OPEN”".encode()), 0]
    assert (capped.sizes.clean_tokens - plain.sizes.clean_tokens).tolist() == [5, 0]


def test_later_targets_of_a_set_see_earlier_ones(tmp_path: Path) -> None:
    rows = [row("s", "p3", ["p6"], ["x"], task="set", further_ids=["p4", "p1"]), row("t", "p7", [], ["x"])]
    samples = load_samples(write(tmp_path, rows, latent_shape=shapes()), "train", unit="noisy tokens")
    assert samples.rows(0) == (3, 6, 4, 1)
    assert [samples.num_further(i) for i in range(2)] == [2, 0]
    assert samples.target_rows().tolist() == [1, 3, 4, 7]
    assert samples.sizes.noisy_tokens.tolist() == [4 + 36 + 8, 16]
    text = int(most_tokens(np.array([1]))[0])
    assert samples.sizes.clean_tokens.tolist() == [text + 1 + 4 + 36, text]


def test_all_texts_are_distinct_and_sorted(samples: Samples) -> None:
    told = {LONG, "short", "make it so", "x", "make it green", "短"}
    assert samples.all_texts() == sorted({*told, "score of p1", "score of p3", "score of p6"})


def test_counting_pictures_needs_no_latents(tmp_path: Path) -> None:
    counted = load_samples(write(tmp_path, ROWS), "train", unit="pictures")
    assert counted.sizes.noisy_tokens.tolist() == [1] * 4
    assert counted.sizes.clean_tokens.tolist() == [0] * 4
    assert counted.rows(0) == (1, 0, 4)


def test_a_table_read_in_parts_gives_the_same(ref: TableRef, samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_ROWS_AT_ONCE", 3)
    parts = load_samples(ref, "train", unit="noisy tokens")
    assert [parts.rows(i) for i in range(4)] == [samples.rows(i) for i in range(4)]
    assert parts.sizes.clean_tokens.tolist() == samples.sizes.clean_tokens.tolist()


def test_rows_are_those_that_take_gives_after_deletions(ref: TableRef) -> None:
    dataset = lance.dataset(ref.uri)
    dataset.delete("id = 'p2'")
    later = ref.model_copy(update={"version": dataset.version})
    found = load_samples(later, "train", unit="noisy tokens")
    ids = lance.dataset(ref.uri, version=dataset.version).take(list(found.rows(2)), columns=["id"])["id"].to_pylist()
    assert ids == ["p3", "p6"]


def test_samples_travel_to_other_processes(samples: Samples) -> None:
    again = pickle.loads(pickle.dumps(samples))
    assert [(again.id(i), again.rows(i), again.texts(i)) for i in range(4)] == [
        (samples.id(i), samples.rows(i), samples.texts(i)) for i in range(4)
    ]


def test_pictures_without_latent_are_counted_with_the_job_to_run(tmp_path: Path) -> None:
    gap = write(tmp_path, ROWS, latent_shape=shapes(target=6, reference=4, unused=7))
    with pytest.raises(UnusableTable, match="no latent_shape of 2 selected pictures, 'p4' first; run `seedbed encode`"):
        load_samples(gap, "train", unit="noisy tokens")


def test_a_table_that_was_never_encoded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableTable, match="no latent_shape of 5 selected pictures"):
        load_samples(write(tmp_path, ROWS), "train", unit="noisy tokens")


def test_a_selection_of_other_pictures_is_refused(tmp_path: Path) -> None:
    other = write(tmp_path, [*ROWS, row("f", "p9", ["p8"], ["x"])], latent_shape=shapes())
    with pytest.raises(UnusableTable, match="lacks 2 selected pictures, 'p8' first; select again"):
        load_samples(other, "train", unit="noisy tokens")


def test_a_selection_with_a_task_of_another_release_is_refused(tmp_path: Path) -> None:
    other = write(tmp_path, [*ROWS, row("f", "p1", [], ["x"], task="film")], latent_shape=shapes())
    with pytest.raises(UnusableTable, match="1 samples of tasks that are none of t2i, edit, compose"):
        load_samples(other, "train", unit="noisy tokens")


def test_a_split_without_rows_is_refused(tmp_path: Path) -> None:
    only = write(tmp_path, ROWS[:1], latent_shape=shapes())
    with pytest.raises(UnusableTable, match="no rows of split 'heldout'"):
        load_samples(only, "heldout", unit="noisy tokens")


def test_a_table_without_selection_is_refused(ref: TableRef) -> None:
    with pytest.raises(UnusableTable, match="without a selection"):
        load_samples(ref.model_copy(update={"selection": None}), "train", unit="noisy tokens")


def test_a_selection_that_a_takedown_closed_names_its_successor(ref: TableRef) -> None:
    assert ref.selection is not None
    supersede(ref.selection, "selections/remaining.lance")
    with pytest.raises(SupersededTable, match=r"use its successor selections/remaining\.lance"):
        load_samples(ref, "train", unit="noisy tokens")


def test_a_selection_that_is_not_there_is_named(ref: TableRef) -> None:
    with pytest.raises(MissingTable, match=r"no table at nowhere\.lance"):
        load_samples(ref.model_copy(update={"selection": "nowhere.lance"}), "train", unit="noisy tokens")


def test_latents_of_another_autoencoder_are_refused(tmp_path: Path) -> None:
    versions = ["new", "new", None, "new", "old", None, "new", "old"]     # p2, p5 and p7 are in no sample
    table = write(tmp_path, ROWS, latent_shape=shapes(), latent_version=pa.array(versions))
    with pytest.raises(UnusableTable, match=r"1 selected pictures of .* than new, 'p4' first with old; run `seedbed encode`"):
        require_latents(table, "new")
    with pytest.raises(UnusableTable, match=r"4 selected pictures of .* than old, 'p0' first with new"):
        require_latents(table, "old")
    unused = write(tmp_path / "unused", [ROWS[0], ROWS[3]], latent_shape=shapes(), latent_version=pa.array(versions))
    require_latents(unused, "new")


def test_every_column_of_latents_has_sizes_of_its_own(tmp_path: Path) -> None:
    small = pa.array([[3, 1, 1 + i % 2] for i in range(len(SHAPES))], pa.list_(pa.int32()))
    table = write(tmp_path, ROWS, latent_shape=shapes(), latent_512_shape=small)
    both = load_samples(table, "train", unit="noisy tokens", latents=("latent_512", "latent")).sizes
    assert (both.latents, list(both.others)) == ("latent_512", ["latent"])
    alone = load_samples(table, "train", unit="noisy tokens").sizes
    for large in (both.at("latent"), alone.at("latent")):
        assert large.noisy_tokens.tolist() == alone.noisy_tokens.tolist() == [8, 8, 4, 1]
        assert large.clean_tokens.tolist() == alone.clean_tokens.tolist()
    assert both.at("latent_512").noisy_tokens.tolist() == [2, 2, 2, 1]
    assert (alone.clean_tokens - both.clean_tokens).tolist() == [4 + 36 - 2, 0, 1 - 1, 0]
    with pytest.raises(UnusableTable, match="no latent_1k_shape of 5 selected pictures"):
        load_samples(table, "train", unit="noisy tokens", latents=("latent", "latent_1k"))


def test_latents_at_sizes_of_their_own_are_known_by_the_autoencoder_that_made_them(tmp_path: Path) -> None:
    versions = pa.array(["new.512px", "new.512px", None, "new", "new.1024px", None, "new.512px", None])
    table = write(tmp_path, ROWS, latent_shape=shapes(), latent_512_version=versions)
    require_latents(table, "new", latents="latent_512")
    with pytest.raises(UnusableTable, match=r"5 selected pictures .* latent_512_version other than ne, .*column=latent_512`"):
        require_latents(table, "ne", latents="latent_512")


def test_a_table_without_versions_of_latents_is_refused(ref: TableRef) -> None:
    with pytest.raises(UnusableTable, match="has no latent_version, expected new; run `seedbed encode`"):
        require_latents(ref, "new")
