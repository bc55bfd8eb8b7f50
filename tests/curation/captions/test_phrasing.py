import pytest

from curation.captions.phrasing import phrased
from curation.captions.vocabulary import Words


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("man bouncing ball", "man bouncing a ball"),
        ("person in manual wheelchair facing right", "person in a manual wheelchair facing right"),
        ("ear with hearing aid", "ear with a hearing aid"),
        ("face without mouth", "face without a mouth"),
        ("sun behind large cloud", "sun behind a large cloud"),
        ("envelope with arrow", "envelope with an arrow"),
        ("woman in lotus position", "woman in the lotus position"),
        ("kiss person person", "kiss of two people"),
        ("family of man, woman, girl and girl", "family of a man, a woman and two girls"),
        ("family of adult, adult, child and child", "family of two adults and two children"),
        ("loving couple of woman and man", "loving couple of a woman and a man"),
        ("face with bags under eyes", "face with bags under eyes"),
        ("red apple", "red apple"),
        ("A dog runs on the beach.", "A dog runs on the beach."),
    ],
)
def test_words_that_a_dictionary_leaves_out_are_put_in(name: str, phrase: str) -> None:
    assert phrased(Words(name, ""), "") == Words(phrase, "")
    assert phrased(Words(phrase, ""), "").en == phrase


@pytest.mark.parametrize(
    ("name", "subcategory", "phrase"),
    [
        (Words("expressionless face", "无语"), "face-neutral-skeptical", "无语的表情"),
        (Words("clown face", "小丑脸"), "face-costume", "小丑脸"),
        (Words("nerd face", "书呆子脸"), "face-glasses", "书呆子脸"),
        (Words("OK hand", "OK"), "hand-fingers-partial", "OK手势"),
        (Words("waving hand", "挥手"), "hand-fingers-open", "挥手的手势"),
        (Words("palm up hand", "掌心向上的手"), "hand-fingers-open", "掌心向上的手"),
        (Words("man walking facing right", "男行人面向右边"), "person-activity", "面向右边的男行人"),
        (Words("Japanese secret button", "秘"), "alphanum", "写着“秘”的按钮"),
        (Words("family of a man", "家庭（男人女人女孩女孩）"), "family", "家庭（男人、女人和两个女孩）"),
        (Words("loving couple", "情侣（女人女人）"), "family", "情侣（两个女人）"),
        (Words("skis", "滑雪"), "sport", "滑雪板"),
        (Words("skier", "滑雪的人"), "person-sport", "滑雪的人"),
        (Words("red apple", "红苹果"), "food-fruit", "红苹果"),
    ],
)
def test_chinese_names_become_nouns(name: Words, subcategory: str, phrase: str) -> None:
    assert phrased(name, subcategory).zh == phrase


def test_nothing_stays_nothing() -> None:
    assert phrased(Words("", ""), "face-smiling") == Words("", "")
