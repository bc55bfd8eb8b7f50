"""One form for what looks alike."""

import pytest

from models.spelling import has_han, normalised


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cafe\u0301", "caf\u00e9"),
        ("  a\tred\u3000apple \n", "a red apple"),
        ("", ""),
        (" \n ", ""),
        ("\uf900", "\u8c48"),  # a compatibility ideograph has a canonical form
        ("half \ud83c a pair", "half ? a pair"),
    ],
)  # fmt: skip
def test_texts_that_look_alike_are_written_alike(text: str, expected: str) -> None:
    assert normalised(text) == expected
    assert normalised(expected) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("热狗", True), ("a 红 apple", True), ("a red apple", False), ("たこ", False), ("", False)]
)
def test_han_characters_tell_chinese(text: str, expected: bool) -> None:
    assert has_han(text) == expected
