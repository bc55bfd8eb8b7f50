import json

import pytest

from curation.captions.facts import CAPTION_VERSION, Facts, captions_en, captions_zh, facts_of, stated, target_caption_en
from curation.captions.vocabulary import KINDS, Words, with_tone, without_tone
from curation.sources.emoji import _categories
from curation.tables import CAPTION_LEVELS

APPLE = Facts("red apple", "红苹果", "flat", "Food & Drink", "food-fruit", "", "", "red")
BEAR = Facts("bear face", "熊头", "flat", "Animals & Nature", "animal-mammal", "", "", "")


def row_of(facts: Facts, derivation: str = "") -> dict[str, object]:
    text = with_tone(Words(facts.name_en, facts.name_zh), facts.tone)
    return {
        "text_en": text.en, "text_zh": text.zh, "style": facts.style, "category": facts.category,
        "subcategory": facts.subcategory, "tone": facts.tone, "gender": facts.gender, "colour": facts.colour,
        "derivation": derivation,
    }  # fmt: skip


def test_three_levels_in_english() -> None:
    assert captions_en(APPLE) == (
        "flat red apple",
        "A red apple in flat style.",
        "A red apple, a fruit, drawn in flat style without outlines, on a white background.",
    )
    assert len(captions_en(APPLE)) == len(CAPTION_LEVELS)


def test_three_levels_in_chinese() -> None:
    assert captions_zh(APPLE) == (
        "扁平风格的红苹果",
        "一幅扁平风格的图画，画着红苹果。",
        "一幅没有描边的扁平风格的图画，画着红苹果，属于水果，白色背景。",
    )


def test_the_kind_is_left_out_where_the_name_says_it() -> None:
    flag = Facts("flag of France", "法国的旗帜", "outlined", "Flags", "country-flag", "", "", "")
    assert captions_en(flag)[2] == "The flag of France, drawn in outlined style with dark outlines, on a white background."


def test_tone_background_and_mirror_are_said() -> None:
    cook = Facts("woman cook", "女厨师", "outlined", "People & Body", "person-role", "medium", "woman", "")
    assert captions_en(cook)[0] == "outlined woman cook with a medium skin tone"
    walker = cook._replace(name_en="person with white cane facing right")
    assert captions_en(walker)[0] == "outlined person with white cane facing right with a medium skin tone"
    assert captions_en(cook._replace(name_en="man with red hair"))[0] == "outlined man with red hair and a medium skin tone"
    assert captions_zh(cook)[0] == "描边风格的女厨师（中等肤色）"
    assert captions_en(APPLE._replace(background="orange"))[:2] == (
        "flat red apple on an orange background", "A red apple in flat style on an orange background.",
    )  # fmt: skip
    assert captions_zh(APPLE._replace(background="orange"))[0] == "扁平风格的红苹果，橙色背景"
    assert captions_en(BEAR._replace(mirrored=True))[:2] == ("mirrored flat bear face", "A mirrored bear face in flat style.")
    assert captions_zh(BEAR._replace(mirrored=True))[0] == "左右翻转的扁平风格的熊头"


def test_an_aside_says_something_and_fits_the_number() -> None:
    dolls = Facts("nesting dolls", "套娃", "flat", "Activities", "game", "", "", "")
    assert captions_en(dolls)[2] == "Nesting dolls, drawn in flat style without outlines, on a white background."
    cook = Facts("man cook", "男厨师", "flat", "People & Body", "person-role", "", "man", "")
    assert captions_en(cook)[2] == "A male cook, drawn in flat style without outlines, on a white background."
    assert captions_zh(cook)[2] == "一幅没有描边的扁平风格的图画，画着男厨师，白色背景。"
    couple = Facts("loving couple of two women", "情侣（两个女人）", "flat", "People & Body", "family", "dark", "woman", "")
    assert captions_zh(couple)[1] == "一幅扁平风格的图画，画着情侣（两个女人，深肤色）。"


def test_a_score_caption_does_not_claim_what_cannot_be_seen() -> None:
    assert target_caption_en(BEAR._replace(mirrored=True)) == "flat bear face"
    assert target_caption_en(APPLE._replace(background="blue")) == "flat red apple on a blue background"


@pytest.mark.parametrize(
    ("layout", "short", "medium", "zh"),
    [
        (
            "left_right",
            "flat red apple on the left, flat bear face on the right",
            "A flat red apple on the left and a flat bear face on the right.",
            "左边是扁平风格的红苹果，右边是扁平风格的熊头。",
        ),
        (
            "above_below",
            "flat red apple above flat bear face",
            "A flat red apple above a flat bear face.",
            "上面是扁平风格的红苹果，下面是扁平风格的熊头。",
        ),
    ],
)
def test_pastes_say_what_is_where(layout: str, short: str, medium: str, zh: str) -> None:
    both = Facts("", "", "flat", "", "", "", "", "", layout=layout, parts=(APPLE, BEAR))
    assert captions_en(both)[:2] == (short, medium)
    assert captions_zh(both)[1] == zh


def test_facts_come_back_from_rows() -> None:
    cook = Facts("woman cook", "女厨师", "flat", "People & Body", "person-role", "light and dark", "woman", "")
    assert facts_of(row_of(cook)) == cook
    derivation = json.dumps({"op": "background", "colour": "blue"})
    assert facts_of(row_of(cook, derivation)) == cook._replace(background="blue")
    assert facts_of(row_of(cook, '{"op": "mirror"}')) == cook._replace(mirrored=True)
    paste = json.dumps({"op": "paste", "layout": "left_right", "parts": [stated(APPLE), stated(BEAR)]})
    assert facts_of(row_of(APPLE, paste)).parts == (APPLE, BEAR)
    with pytest.raises(ValueError, match="operation 'twirl', which makes no picture that is known; compose"):
        facts_of(row_of(APPLE, '{"op": "twirl"}'))


def test_a_users_sentence_is_kept_and_extended() -> None:
    photo = Facts("A dog runs on the beach.", "", "", "", "", "", "", "")
    assert captions_en(photo) == ("A dog runs on the beach", "A dog runs on the beach.", "A dog runs on the beach.")
    assert captions_en(photo._replace(background="blue"))[1] == "A dog runs on the beach, on a blue background."
    assert captions_zh(photo) == ("", "", "")
    both = Facts("", "", "", "", "", "", "", "", layout="left_right", parts=(photo, photo._replace(name_en="cat")))
    assert captions_en(both)[1] == "A dog runs on the beach on the left and a cat on the right."


def test_a_short_name_without_style_still_reads_well() -> None:
    cat = Facts("black cat", "", "", "pets", "", "", "", "")
    assert captions_en(cat) == ("black cat", "A black cat.", "A black cat on a white background.")
    assert captions_en(Facts("", "", "", "", "", "", "", "")) == ("", "", "")


def test_every_subcategory_of_the_corpus_has_a_kind() -> None:
    assert {subcategory for _, subcategory in _categories().values()} <= set(KINDS)


def test_tones_are_added_and_taken_off() -> None:
    for tone in ("", "dark", "light and medium-dark"):
        assert without_tone(with_tone(Words("cook", "厨师"), tone), tone) == Words("cook", "厨师")


def test_the_version_is_a_digest() -> None:
    assert len(CAPTION_VERSION) == 12
    assert int(CAPTION_VERSION, 16) >= 0
