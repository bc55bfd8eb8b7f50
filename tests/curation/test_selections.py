import pyarrow as pa
import pytest

from curation.captions.facts import captions_en, facts_of
from curation.captions.mixing import CaptionMix, CaptionShare, LevelWeights
from curation.selections import SelectRules, TaskRule, choose, columns_of, in_words, num_untold, pictures_of
from curation.tables import PAIRS_SCHEMA
from infra.errors import UserError

ALL = TaskRule(max_train=None, max_heldout=None, weight=1.0)
CAPTIONS = CaptionMix(shares=(CaptionShare(language="en", weight=1, levels=LevelWeights(short=2, medium=1, long=1)),))
RULES = SelectRules(
    categories=(), styles=(), max_concepts=None, shown_sources=(), captions=CAPTIONS, t2i=ALL, edit=ALL, compose=ALL,
    sets=ALL, seed=7,
)


def _picture(key: str, **change: object) -> dict[str, object]:
    style, name = key.split("/")
    row: dict[str, object] = {
        "id": key, "source": "emoji", "concept": name, "style": style, "category": "Food", "subcategory": "", "tone": "",
        "gender": "", "colour": "", "text_en": name, "text_zh": "", "split": "train", "parents": [], "derivation": "",
        "verdict": "kept",
    }  # fmt: skip
    row |= change
    return row | {"captions_en": list(captions_en(facts_of(row)))}


def _images(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist([{name: row[name] for name in columns_of(RULES)} for row in rows])


def _pair(references: list[str], target: str, *, split: str = "train") -> dict[str, object]:
    return {
        "id": f"{'+'.join(references)}>{target}", "task": "compose" if len(references) > 1 else "edit", "kind": "style",
        "reference_ids": references, "target_id": target, "further_ids": [],
        "instructions_en": ["a", "b", "c"], "instructions_zh": ["", "", ""],
        "target_caption_en": "what it shows", "category": "Food", "split": split,
    }  # fmt: skip


def _pairs(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=PAIRS_SCHEMA)


MIRRORED = _picture("flat/apple", id="composed/1", source="composed", parents=["flat/apple"], derivation='{"op": "mirror"}')


def _ids(selection: pa.Table) -> list[str]:
    return selection["sample_id"].to_pylist()


def test_only_samples_whose_every_picture_is_kept_are_chosen() -> None:
    dropped = _picture("outlined/apple", verdict="dropped")
    images = _images(_picture("flat/apple"), dropped, _picture("flat/pear"), _picture("outlined/pear"))
    good, bad = _pair(["flat/pear"], "outlined/pear"), _pair(["flat/apple"], "outlined/apple")
    half = _pair(["flat/apple", "gone"], "flat/pear")
    chosen = choose(images, _pairs(bad, good, half), RULES)
    assert _ids(chosen) == ["flat/pear>outlined/pear", "flat/apple", "flat/pear", "outlined/pear"]
    assert chosen["task"].to_pylist() == ["edit", "t2i", "t2i", "t2i"]


def test_a_stored_decision_stands_in_for_the_verdicts_and_weighs_targets() -> None:
    images = _images(_picture("flat/apple", verdict="dropped"), _picture("flat/pear"), _picture("flat/plum"))
    decision = pa.table({
        "id": ["flat/apple", "flat/pear", "flat/plum"], "verdict": ["kept", "kept", "dropped"],
        "weight": pa.array([0.25, 1.0, 0.0], pa.float32()),
    })  # fmt: skip
    rules = RULES.model_copy(update={"t2i": TaskRule(max_train=None, max_heldout=None, weight=2.0)})
    chosen = choose(images, _pairs(_pair(["flat/pear"], "flat/apple")), rules, decision=decision)
    assert dict(zip(_ids(chosen), chosen["weight"].to_pylist(), strict=True)) == {
        "flat/apple": 0.5, "flat/pear": 2.0, "flat/pear>flat/apple": 0.25,
    }  # fmt: skip


def test_captions_that_were_refused_are_no_texts() -> None:
    half, none = _picture("flat/apple"), _picture("flat/pear")
    half["captions_en"], none["captions_en"] = ["", "an apple", ""], ["", "", ""]
    chosen = choose(_images(half, none), _pairs(), RULES)
    assert chosen["texts"].to_pylist() == [["an apple"]]
    assert chosen["text_weights"].to_pylist() == [[1.0]]
    assert num_untold(_images(half, none), RULES) == 1


def test_texts_and_score_texts_come_from_captions_and_pairs() -> None:
    chosen = choose(_images(_picture("flat/apple"), MIRRORED), _pairs(_pair(["flat/apple"], "composed/1")), RULES).to_pylist()
    by_id = {line["sample_id"]: line for line in chosen}
    assert by_id["flat/apple>composed/1"]["texts"] == ["a", "b", "c"]
    assert by_id["flat/apple>composed/1"]["text_weights"] == [0.5, 0.25, 0.25]
    assert by_id["flat/apple>composed/1"]["score_text"] == "what it shows"
    assert by_id["flat/apple"]["texts"] == list(captions_en(facts_of(_picture("flat/apple"))))
    assert by_id["flat/apple"]["text_weights"] == [0.5, 0.25, 0.25]
    assert by_id["flat/apple"]["score_text"] == "flat apple"
    assert by_id["composed/1"]["score_text"] == "flat apple"      # nobody sees that a picture is mirrored


def test_categories_and_styles_narrow_source_pictures_and_what_is_made_of_them() -> None:
    images = _images(_picture("flat/apple"), _picture("outlined/apple"), _picture("flat/dog", category="Animals"), MIRRORED)
    rules = RULES.model_copy(update={"categories": ("Food",), "styles": ("flat",)})
    chosen = choose(images, _pairs(_pair(["flat/apple"], "outlined/apple")), rules)
    assert sorted(_ids(chosen)) == ["composed/1", "flat/apple"]
    only_dogs = choose(images, _pairs(), RULES.model_copy(update={"categories": ("Animals",)}))
    assert _ids(only_dogs) == ["flat/dog"]


def test_shown_sources_leave_composed_pictures_to_edits() -> None:
    rules = RULES.model_copy(update={"shown_sources": ("emoji",)})
    chosen = choose(_images(_picture("flat/apple"), MIRRORED), _pairs(_pair(["flat/apple"], "composed/1")), rules)
    assert _ids(chosen) == ["flat/apple>composed/1", "flat/apple"]
    assert pictures_of(chosen) == {"flat/apple", "composed/1"}


def test_a_larger_cap_keeps_what_a_smaller_one_chose_for_each_split() -> None:
    rows = [_picture(f"flat/{i}", split="heldout" if i % 4 == 0 else "train") for i in range(40)]
    chosen = {}
    for cap in (3, 8):
        rule = TaskRule(max_train=cap, max_heldout=2, weight=0.5)
        selection = choose(_images(*rows), _pairs(), RULES.model_copy(update={"t2i": rule}))
        assert in_words(selection) == f"t2i {cap} + 2 held out"
        assert set(selection["weight"].to_pylist()) == {0.5}
        chosen[cap] = set(_ids(selection))
    assert chosen[3] < chosen[8]


def test_the_number_of_concepts_can_be_capped_and_takes_whole_concepts() -> None:
    rows = [_picture(f"{style}/{i}") for i in range(20) for style in ("flat", "outlined")]
    selection = choose(_images(*rows), _pairs(), RULES.model_copy(update={"max_concepts": 5}))
    assert selection.num_rows == 10
    assert len({one.split("/")[1] for one in _ids(selection)}) == 5
    assert choose(_images(*rows), _pairs(), RULES.model_copy(update={"max_concepts": 5, "seed": 8})) != selection


def test_the_order_of_the_tables_does_not_matter() -> None:
    rows = [_picture(f"flat/{i}") for i in range(20)]
    rules = RULES.model_copy(update={"t2i": TaskRule(max_train=7, max_heldout=0, weight=1)})
    assert choose(_images(*rows), _pairs(), rules) == choose(_images(*reversed(rows)), _pairs(), rules)


def test_a_concept_in_two_splits_is_refused() -> None:
    with pytest.raises(UserError, match="concept 'apple' is in two splits"):
        choose(_images(_picture("flat/apple"), _picture("outlined/apple", split="heldout")), _pairs(), RULES)


def test_a_set_is_chosen_when_all_its_targets_are_kept() -> None:
    images = _images(_picture("flat/apple"), _picture("flat/pear"), _picture("flat/plum", verdict="dropped"))
    made = _pair([], "flat/apple") | {"task": "set"}
    pairs = _pairs(made | {"id": "whole", "further_ids": ["flat/pear"]}, made | {"id": "half", "further_ids": ["flat/plum"]})
    chosen = choose(images, pairs, RULES)
    assert [(row["sample_id"], row["further_ids"]) for row in chosen.to_pylist() if row["task"] == "set"] == [
        ("whole", ["flat/pear"])
    ]
    assert pictures_of(chosen) == {"flat/apple", "flat/pear"}


def test_tags_are_the_style_of_a_picture_and_the_kind_of_a_pair() -> None:
    images = _images(_picture("flat/apple"), _picture("outlined/apple"), _picture("flat/pear", style=""))
    chosen = choose(images, _pairs(_pair(["flat/apple"], "outlined/apple")), RULES)
    assert chosen["tags"].to_pylist() == [["style"], ["flat"], [], ["outlined"]]
