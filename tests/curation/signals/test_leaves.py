"""Leaves through the engine: a leaf that is added later is the only one to be measured, and every other score stays."""

from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
import yaml
from PIL import Image

from curation import commit
from curation.computing import FragmentFiller
from curation.signals import features, leaves
from curation.signals.contract import Batch, Signal
from curation.signals.leaves import LeafConfig, digests_of, leaf_signal, scores_version
from curation.tables import FEATURE_DIM, TableRef
from curation.taxonomy.assignment import LEAF_SCORES, UNASSIGNED, AssignmentConfig
from infra.errors import UserError

TEXTS = ("a tabby cat", "a corgi and its puppies", "a red panda", "")
WORDS = {
    "cats": ["cat", "tabby", "kitten", "tomcat"], "dogs": ["dog", "corgi", "puppy", "hound"], "pandas": ["panda", "b", "c", "d"]
}  # fmt: skip


def write_zoo(folder: Path, *names: str) -> Path:
    """A taxonomy of one domain with these leaves."""
    entries = [
        {
            "id": f"zoo/{name}", "parent": "zoo", "definition": f"Pictures of {name}.", "share": 1 / len(names),
            "difficulty": "easy", "keywords": {"en": WORDS[name], "zh": [f"{name}{letter}" for letter in "甲乙丙丁"]},
            "examples": {"en": [f"Some {name} at play"], "zh": ["这里什么也没有"]},
        }
        for name in names
    ]  # fmt: skip
    zoo = {"domain": "zoo", "definition": "Animals that are kept.", "share": 1, "facet": "subject", "leaves": entries}
    folder.mkdir(exist_ok=True)
    (folder / "zoo.yaml").write_text(yaml.safe_dump(zoo, allow_unicode=True))
    return folder


def config_of(folder: Path, *, min_score: float = 0.4, samples: Path | None = None) -> LeafConfig:
    return LeafConfig(
        folders=(str(folder),), embedder=None, samples=str(samples) if samples else None,
        assignment=AssignmentConfig(min_score=min_score, max_further=3),
    )  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> TableRef:
    schema = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("id", "text_en", "text_zh")])
    uri = str(tmp_path / "t.lance")
    commit.create(uri, schema)
    columns = {"id": [str(place) for place in range(len(TEXTS))], "text_en": TEXTS, "text_zh": [""] * len(TEXTS)}
    return commit.append_table(uri, pa.table(columns, schema=schema))


def fill(ref: TableRef, signal: Signal) -> list[dict]:
    """What a worker does with the signal's fragment, the signals before it first; gives the rows."""
    for one in (*signal.after, signal):
        commit.add_columns(ref, one.schema)
        dataset = lance.dataset(ref.uri)
        fragment = dataset.get_fragment(0)
        assert fragment is not None
        (done,) = FragmentFiller(dataset, fragment, lambda each: each.build(), among=None, where=None).fill([one])
        assert commit.replace_columns(ref.uri, [done.replacement], read_version=dataset.version)
    return lance.dataset(ref.uri).to_table().to_pylist()


def test_every_row_gets_its_leaf_and_the_limit_for_it_is_read_not_measured(table: TableRef, tmp_path: Path) -> None:
    folder = write_zoo(tmp_path / "zoo", "cats", "dogs")
    digests = digests_of(config_of(folder))
    rows = fill(table, leaf_signal(config_of(folder), digests, earlier={}))
    assert [row["leaf"] for row in rows] == ["zoo/cats", "zoo/dogs", UNASSIGNED, UNASSIGNED]
    assert rows[3]["leaf_scores"] == [] == rows[3]["further_leaves"]
    strict = leaf_signal(config_of(folder, min_score=0.9), digests, earlier={})
    assert strict.version != leaf_signal(config_of(folder), digests, earlier={}).version
    assert strict.after[0].version == rows[0]["leaf_scores_version"], "nothing is to be measured"


def test_a_leaf_that_is_added_is_the_only_one_to_be_scored(
    table: TableRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = []
    make = leaves.LeafScorer

    def noting(*args: object, **settings: object) -> leaves.LeafScorer:
        scored.append(settings["leaves"])
        return make(*args, **settings)  # pyright: ignore[reportArgumentType] - passed on as they came

    monkeypatch.setattr(leaves, "LeafScorer", noting)
    before = config_of(write_zoo(tmp_path / "before", "cats", "dogs"))
    known = digests_of(before)
    first = fill(table, leaf_signal(before, known, earlier={}))
    after = config_of(write_zoo(tmp_path / "after", "cats", "dogs", "pandas"))
    digests = digests_of(after)
    assert {leaf: digests[leaf] for leaf in known} == known
    scored.clear()
    rows = fill(table, leaf_signal(after, digests, earlier={scores_version(known): known}))
    assert scored == [("zoo/pandas",)]
    assert [row["leaf"] for row in rows] == ["zoo/cats", "zoo/dogs", "zoo/pandas", UNASSIGNED]
    assert [row["leaf_scores"] for row in rows[:2]] == [row["leaf_scores"] for row in first[:2]]


def test_a_version_that_nobody_remembers_and_rows_that_failed_are_scored_in_full(tmp_path: Path) -> None:
    folder = write_zoo(tmp_path / "zoo", "cats", "dogs")
    digests = digests_of(config_of(folder))
    (scores,) = leaf_signal(config_of(folder), digests, earlier={"known": digests}).after
    stored = pa.array([[{"leaf": "zoo/dogs", "score": 0.9}]] * 2 + [None], LEAF_SCORES)
    rows = pa.table({
        "text_en": ["a cat"] * 3, "text_zh": [""] * 3, "leaf_scores": stored, "leaf_scores_version": ["known", "lost", "known"],
        "leaf_scores_error": [None, None, "failed: out of memory"],
    })  # fmt: skip
    found = scores.build()(Batch(rows, []))["leaf_scores"].to_pylist()
    assert [[one["leaf"] for one in row] for row in found] == [["zoo/dogs"], ["zoo/cats"], ["zoo/cats"]]


def test_samples_speak_for_rows_without_a_text(tmp_path: Path) -> None:
    folder, samples = write_zoo(tmp_path / "zoo", "cats", "dogs"), tmp_path / "samples"
    with pytest.raises(UserError, match="no sample pictures in"):
        digests_of(config_of(folder, samples=samples))
    (samples / "zoo" / "dogs").mkdir(parents=True)
    Image.new("RGB", (64, 64), "brown").save(samples / "zoo" / "dogs" / "one.png")
    config = config_of(folder, samples=samples)
    digests = digests_of(config)
    assert digests["zoo/dogs"] != digests_of(config_of(folder))["zoo/dogs"]
    (scores,) = leaf_signal(config, digests, earlier={}).after
    assert scores.after == (features.SIGNAL,)
    brown = leaves._samples(config)["zoo/dogs"][0]
    flat = pa.array(np.concatenate([brown, np.zeros(FEATURE_DIM, np.float32)]))
    column = pa.FixedSizeListArray.from_arrays(flat, FEATURE_DIM, mask=pa.array([False, True]))
    rows = pa.table({"text_en": ["", ""], "text_zh": ["", ""], "image_features": column, "leaf_scores": pa.nulls(2, LEAF_SCORES),
                     "leaf_scores_version": pa.nulls(2, pa.string()), "leaf_scores_error": pa.nulls(2, pa.string())})  # fmt: skip
    found = scores.build()(Batch(rows, []))["leaf_scores"].to_pylist()
    assert [[one["leaf"] for one in row] for row in found] == [["zoo/dogs"], []]
    (samples / "zoo" / "owls").mkdir()
    Image.new("RGB", (64, 64)).save(samples / "zoo" / "owls" / "one.png")
    with pytest.raises(UserError, match="the taxonomy has no leaf zoo/owls"):
        digests_of(config)
