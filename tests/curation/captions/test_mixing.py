import pytest
from pydantic import ValidationError

from curation.captions.mixing import CaptionMix, CaptionShare, LevelWeights, instructed, mixed

LEVELS = LevelWeights(short=1, medium=1, long=2)
ENGLISH = CaptionShare(language="en", weight=3, levels=LEVELS)
MODEL = CaptionShare(captions="qwen_111111", language="zh", weight=1, levels=LevelWeights(short=0, medium=0, long=1))
MIX = CaptionMix(shares=(ENGLISH, MODEL))
ROW = {"captions_en": ["a", "b", "c"], "captions_qwen_111111_zh": ["甲", "乙", "丙"]}


def test_weights_multiply_over_shares_and_levels() -> None:
    assert {one.text: one.probability for one in mixed(ROW, MIX)} == pytest.approx(
        {"a": 3 / 16, "b": 3 / 16, "c": 6 / 16, "丙": 1 / 4}
    )
    assert MIX.columns == ("captions_en", "captions_qwen_111111_zh")


def test_what_is_missing_leaves_its_weight_to_the_rest() -> None:
    refused = {**ROW, "captions_en": ["a", "b", ""]}
    assert {one.text: one.probability for one in mixed(refused, MIX)} == pytest.approx({"a": 3 / 8, "b": 3 / 8, "丙": 1 / 4})
    unwritten = {**ROW, "captions_qwen_111111_zh": None}
    assert sum(one.probability for one in mixed(unwritten, MIX)) == pytest.approx(1)
    assert mixed({"captions_en": ["", "", ""], "captions_qwen_111111_zh": None}, MIX) == []


def test_a_text_of_two_levels_comes_once() -> None:
    same = {**ROW, "captions_en": ["a", "a", "c"]}
    assert [one.text for one in mixed(same, MIX)] == ["a", "c", "丙"]


def test_levels_that_are_never_read_are_refused() -> None:
    with pytest.raises(ValueError, match="all levels have weight 0"):
        LevelWeights(short=0, medium=0, long=0)


def test_a_mix_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError):
        CaptionMix(shares=())
    with pytest.raises(ValidationError):
        CaptionShare(language="en", weight=0, levels=LEVELS)


def test_instructions_are_mixed_by_language_and_level_and_missing_ones_leave_their_weight() -> None:
    pair = {"instructions_en": ["a", "b", "c"], "instructions_zh": ["甲", "乙", "丙"]}
    both = CaptionMix(shares=(ENGLISH, MODEL))
    assert {one.text: one.probability for one in instructed(pair, both)} == pytest.approx(
        {"a": 3 / 16, "b": 3 / 16, "c": 6 / 16, "丙": 1 / 4}
    )
    assert sum(one.probability for one in instructed({**pair, "instructions_zh": ["", "", ""]}, both)) == pytest.approx(1)
