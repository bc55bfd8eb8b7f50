import json

import pytest

from curation.captions.answers import described, unreadable
from curation.captions.checks import FAULTS
from curation.captions.prompts.prompt import load_prompts

WHOLE = {
    "short": "red apple on a table", "medium": "A red apple lies on a wooden table beside a knife.",
    "long": "A red apple lies on the left of a wooden table. A knife lies beside it. The wall behind is white.",
    "type": "Photograph", "style": "soft light", "watermarks": ["shutterstock"], "abnormal": False,
}  # fmt: skip
ALL = load_prompts(("all_en",))


def test_an_object_gives_all_levels_and_what_else_was_asked() -> None:
    found = described(ALL, [json.dumps(WHOLE)])
    assert found.captions_en == [WHOLE["short"], WHOLE["medium"], WHOLE["long"]]
    assert found.captions_zh == ["", "", ""]
    assert (found.kind, found.style, found.watermarks, found.is_abnormal) == (
        "photograph",
        "soft light",
        ("shutterstock",),
        False,
    )
    assert found.refused == ()


def test_fences_and_words_around_an_object_are_passed_over() -> None:
    for answer in (f"```json\n{json.dumps(WHOLE)}\n```", f"Here you are:\n{json.dumps(WHOLE)} Done."):
        assert described(ALL, [answer]).captions_en[0] == WHOLE["short"]


@pytest.mark.parametrize(
    "answer",
    [
        "a red apple",
        "{",
        "[1, 2]",
        "",
        json.dumps(WHOLE)[:-5],
        json.dumps({**WHOLE, "watermarks": "none"}),
        json.dumps({**WHOLE, "abnormal": "no"}),
        json.dumps({**WHOLE, "short": None}),
        json.dumps({name: value for name, value in WHOLE.items() if name != "medium"}),
    ],
)
def test_a_broken_object_is_kept_among_the_refused(answer: str) -> None:
    found = described(ALL, [answer])
    assert found.captions_en == ["", "", ""]
    assert found.is_abnormal is None
    (refused,) = found.refused
    assert (refused.level, refused.reasons, refused.text) == ("all", ("broken_json",), answer)


def test_one_bad_caption_does_not_cost_the_others_and_nothing_is_put_in_its_place() -> None:
    found = described(ALL, [json.dumps({**WHOLE, "medium": "I'm sorry, I can't help with that."})])
    assert found.captions_en == [WHOLE["short"], "", WHOLE["long"]]
    (refused,) = found.refused
    assert (refused.level, refused.language, refused.reasons) == ("medium", "en", ("refusing",))


def test_plain_prompts_fill_their_own_level_and_language() -> None:
    found = described(
        load_prompts(("long_zh", "short_en")), ["一个红苹果放在木桌的左边，旁边有一把水果刀，背景是白墙。", ' "red apple" ']
    )
    assert found.captions_zh == ["", "", "一个红苹果放在木桌的左边，旁边有一把水果刀，背景是白墙。"]
    assert found.captions_en == ["red apple", "", ""]
    assert (found.kind, found.is_abnormal) == ("", None)


def test_every_reason_is_of_the_closed_list_and_a_picture_that_cannot_be_read_has_its_own() -> None:
    reasons = {reason for one in described(ALL, ["{"]).refused for reason in one.reasons}
    assert reasons <= set(FAULTS)
    nothing = unreadable()
    assert nothing.captions_en == nothing.captions_zh == ["", "", ""]
    assert {reason for one in nothing.refused for reason in one.reasons} == {"unreadable"}
