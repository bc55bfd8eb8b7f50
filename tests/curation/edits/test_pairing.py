from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation.edits.pairing import COLUMNS, find_pairs
from curation.sources import EmojiConfig, build, listed
from curation.tables import CAPTION_LEVELS, PAIRS_SCHEMA

Row = dict[str, Any]
SCHEMA = pa.schema([pa.field(name, pa.list_(pa.string()) if name == "parents" else pa.string()) for name in COLUMNS])


def row(identity: str, text: str, **known: str) -> Row:
    plain = dict.fromkeys(COLUMNS, "")
    defaults = {
        "id": identity,
        "source": "test",
        "text_en": text,
        "text_zh": "某物",
        "concept": text,
        "category": "things",
        "split": "train",
    }
    return plain | defaults | {"parents": []} | known


def pairs_of(*rows: Row, **settings: int) -> list[Row]:
    return find_pairs(pa.Table.from_pylist(list(rows), schema=SCHEMA), **settings).to_pylist()


def ends(pairs: list[Row]) -> list[tuple[str, list[str], str]]:
    return [(str(pair["kind"]), pair["reference_ids"], pair["target_id"]) for pair in pairs]


def test_styles_pair_in_both_directions() -> None:
    pairs = pairs_of(row("a", "apple", style="flat"), row("b", "apple", style="outlined"), row("c", "pear", style="flat"))
    assert ends(pairs) == [("style", ["a"], "b"), ("style", ["b"], "a")]
    assert pairs[0]["instructions_en"][1] == "Redraw it in outlined style."
    assert pairs[0]["target_caption_en"] == "outlined apple"
    assert pairs[0]["task"] == "edit"


def test_tones_pair_when_all_else_is_equal() -> None:
    tones = [
        row(tone or "none", f"cook, {tone} skin tone" if tone else "cook", concept="cook", tone=tone)
        for tone in ("", "light", "dark")
    ]
    other = row("other", "singer, dark skin tone", concept="cook", tone="dark")
    mixed = row("mixed", "cook, light and dark skin tone", concept="cook", tone="light and dark")
    pairs = pairs_of(*tones, other, mixed)
    assert Counter(kind for kind, _, _ in ends(pairs)) == {"tone": 6}
    assert {identity for _, references, target in ends(pairs) for identity in (*references, target)} == {"none", "light", "dark"}
    to_dark = next(pair for pair in pairs if pair["reference_ids"] == ["light"] and pair["target_id"] == "dark")
    assert to_dark["instructions_en"][1] == "Change the skin tone to dark."
    assert to_dark["target_caption_en"] == "cook with a dark skin tone"


def test_genders_pair_by_name_or_when_they_are_the_only_two() -> None:
    pairs = pairs_of(
        row("m", "man running", concept="run", gender="man"), row("w", "woman running", concept="run", gender="woman"),
        row("mr", "man running facing right", concept="run", gender="man"),
        row("wr", "woman running facing right", concept="run", gender="woman"),
        row("prince", "prince", concept="crown", gender="man"), row("princess", "princess", concept="crown", gender="woman"),
    )  # fmt: skip
    assert {(references[0], target) for _, references, target in ends(pairs)} == {
        ("m", "w"), ("w", "m"), ("mr", "wr"), ("wr", "mr"), ("prince", "princess"), ("princess", "prince"),
    }  # fmt: skip
    assert pairs[-1]["instructions_en"][1] == "Turn the princess into a prince."


def test_colours_pair_when_the_rest_of_the_name_is_equal() -> None:
    pairs = pairs_of(
        row("r", "red apple", colour="red"), row("g", "green apple", colour="green"), row("b", "blue book", colour="blue"),
        row("s", "green apple", colour="green", subcategory="stickers"),
    )  # fmt: skip
    assert ends(pairs) == [("colour", ["r"], "g"), ("colour", ["g"], "r")]
    assert pairs[0]["instructions_en"][1] == "Make the apple green."


def test_no_pair_crosses_splits() -> None:
    assert pairs_of(row("r", "red apple", colour="red"), row("g", "green apple", colour="green", split="heldout")) == []


def test_joined_emoji_need_all_their_parts_in_their_style() -> None:
    def emoji(key: str, text: str, style: str = "flat", split: str = "train") -> Row:
        return row(f"emoji/{style}/{key}", text, source="emoji", style=style, split=split, concept=key)

    bear, snow, polar = emoji("1F43B", "bear"), emoji("2744", "snowflake"), emoji("1F43B-200D-2744", "polar bear")
    pairs = pairs_of(bear, snow, polar, emoji("1F43B-200D-2744", "polar bear", style="outlined"))
    joined = [pair for pair in pairs if pair["kind"] == "joined"]
    assert ends(joined) == [("joined", ["emoji/flat/1F43B", "emoji/flat/2744"], "emoji/flat/1F43B-200D-2744")]
    assert joined[0]["task"] == "compose"
    assert joined[0]["instructions_en"][1] == "Combine the bear and the snowflake into a polar bear."
    assert pairs_of(bear, polar) == []
    assert pairs_of(bear, emoji("2744", "snowflake", split="heldout"), polar) == []
    assert pairs_of(bear, snow, polar, max_references=1) == []


def test_composed_rows_are_passed_over() -> None:
    composed = row("b", "apple", style="outlined") | {"parents": ["a"]}
    assert pairs_of(row("a", "apple", style="flat"), composed) == []


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match=r"needs the columns \['derivation'\]"):
        find_pairs(pa.Table.from_pylist([], schema=SCHEMA).drop_columns(["derivation"]))


def test_the_corpus_yields_pairs_that_keep_the_contract(tmp_path: Path) -> None:
    everything = listed(build(EmojiConfig(), cache_dir=tmp_path))
    wanted = {"person-role", "person", "heart", "tool", "food-prepared", "food-fruit"}
    rows = [row for row in everything.to_pylist() if row["subcategory"] in wanted and row["tone"] in ("", "light")]
    images = pa.Table.from_pylist(rows, schema=everything.schema)
    pairs = find_pairs(images)
    assert pairs.schema.equals(PAIRS_SCHEMA)
    found = pairs.to_pylist()
    assert len({pair["id"] for pair in found}) == len(found)
    kinds = Counter(pair["kind"] for pair in found)
    assert kinds["style"] == images.num_rows  # each in both directions
    assert set(kinds) == {"style", "tone", "gender", "colour", "joined"}
    assert kinds["tone"] > 300
    by_id = {image["id"]: image for image in images.to_pylist()}
    for pair in found:
        splits = {by_id[identity]["split"] for identity in (*pair["reference_ids"], pair["target_id"])}
        assert splits == {pair["split"]}
        assert pair["target_id"] not in pair["reference_ids"]
        assert all(
            len(pair[texts]) == len(CAPTION_LEVELS) and all(pair[texts]) for texts in ("instructions_en", "instructions_zh")
        )
