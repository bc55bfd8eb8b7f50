import pytest

from curation.captions.vocabulary import Words
from curation.sources.emoji_names import colour_of, concept_of, gender_of, key_of, name_of, tone_of, without_tones


def test_keys_of_both_packages_agree() -> None:
    assert key_of("2764-FE0F-200D-1F525") == key_of("2764-200d-1f525") == "2764-200D-1F525"


@pytest.mark.parametrize(
    ("key", "tone", "gender", "concept"),
    [
        ("1F34E", "", "", "1F34E"),
        ("1F469-1F3FD-200D-1F373", "medium", "woman", "1F9D1-200D-1F373"),
        ("1F3C3-1F3FF-200D-2642-200D-27A1", "dark", "man", "1F3C3"),
        ("1F478-1F3FB", "light", "woman", "1FAC5"),
        ("1F469-200D-1F469-200D-1F466", "", "woman", "1F9D1-200D-1F9D1-200D-1F466"),
        ("1F468-200D-1F469-200D-1F466", "", "", "1F9D1-200D-1F9D1-200D-1F466"),
        ("1F9D1-1F3FB-200D-1F91D-200D-1F9D1-1F3FF", "light and dark", "", "1F9D1-200D-1F91D-200D-1F9D1"),
        ("1F46B-1F3FB", "light", "", "1F9D1-200D-1F91D-200D-1F9D1"),
        ("1F3FB", "", "", "1F3FB"),
    ],
)
def test_attributes_are_read_off_the_key(key: str, tone: str, gender: str, concept: str) -> None:
    assert (tone_of(key), gender_of(key), concept_of(key)) == (tone, gender, concept)


def test_a_tone_swatch_is_not_emptied() -> None:
    assert without_tones("1F3FB") == "1F3FB"


@pytest.mark.parametrize(
    ("key", "en", "zh", "expected"),
    [
        ("1F1EB-1F1F7", "France", "法国", Words("flag of France", "法国的旗帜")),
        ("1F1FA-1F1F8", "United States", "美国", Words("flag of the United States", "美国的旗帜")),
        ("1F468-200D-1F9B0", "man red hair", "男人 红发", Words("man with red hair", "红发的男人")),
        (
            "1F468-200D-1F469-200D-1F466",
            "family man woman boy",
            "家庭 男人女人男孩",
            Words("family of man, woman and boy", "家庭（男人女人男孩）"),
        ),
        ("1F3C4-200D-2640", "woman surfing", "女生冲浪", Words("woman surfing", "冲浪的女生")),
        ("1F171", "B button (blood type)", "B型血", Words("B button", "B型血")),
        ("1F491-200D-1", "couple with heart man man", "情侣 男人男人", Words("loving couple of man and man", "情侣（男人男人）")),
        ("1F550", "one o’clock", "一点", Words("clock showing one o’clock", "一点的时钟")),
        ("1F48B", "kiss mark", "唇印", Words("lipstick kiss mark", "唇印")),
    ],
)
def test_dictionary_names_become_captions(key: str, en: str, zh: str, expected: Words) -> None:
    assert name_of(key, {key: Words(en, zh)}) == expected


def test_a_name_does_not_say_the_skin_tone() -> None:
    key = "1F469-1F3FB-200D-1FAEF-200D-1F469-1F3FF"
    dictionary = {key: Words("women wrestling light skin tone dark skin tone", "女生摔跤 较浅肤色较深肤色")}
    assert name_of(key, dictionary) == Words("women wrestling", "摔跤的女生")


def test_colour_words_are_whole_words_of_things() -> None:
    assert colour_of("light blue heart") == "light blue"
    assert colour_of("flag of Greenland") == ""
    assert colour_of("man with red hair") == ""
    assert colour_of("blackboard") == ""
