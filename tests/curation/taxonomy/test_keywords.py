import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.taxonomy.keywords import KeywordMatcher, english_forms, normalised
from curation.taxonomy.leaves import Examples, Keywords, Leaf


def leaf(name: str, en: tuple[str, ...], zh: tuple[str, ...]) -> Leaf:
    fill_en = tuple(f"unused{name}word{i}" for i in range(4))
    fill_zh = tuple(f"无用{name}词{i}" for i in range(4))
    return Leaf(
        id=f"test/{name}", parent="test", definition=f"A leaf named {name}.", share=0.5, difficulty="easy",
        keywords=Keywords(en=en + fill_en, zh=zh + fill_zh), examples=Examples(en=("An example",), zh=("一个例子而已",)),
    )  # fmt: skip


CATS = leaf("cats", ("cat", "tabby", "ginger cat"), ("猫", "小猫"))
PANDAS = leaf("pandas", ("panda", "red panda"), ("熊猫", "小熊猫"))
FOOD = leaf("food", ("hot dog", "bagel", "3D cake"), ("热狗", "T骨牛排"))
DOGS = leaf("dogs", ("dog", "husky"), ("狗", "小狗"))
MATCHER = KeywordMatcher([CATS, PANDAS, FOOD, DOGS])


def found(text: str) -> dict[str, set[str]]:
    return {name.removeprefix("test/"): set(keywords) for name, keywords in MATCHER.keywords_by_leaf([text]).items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A cat on a mat", {"cats": {"cat"}}),
        ("strings that concatenate", {}),
        ("the category of scatter plots", {}),
        ("CAT!", {"cats": {"cat"}}),
        ("a cat's paw, a cat-like robot", {"cats": {"cat"}}),
        ("ＣＡＴ in full width", {"cats": {"cat"}}),
        ("cat5 cable", {}),
        ("two cats and three tabbies", {"cats": {"cat", "tabby"}}),
        ("a ginger\ncat asleep", {"cats": {"ginger cat"}}),
        ("a ginger-cat print", {"cats": {"ginger cat"}}),
        ("catñ and ñcat", {}),
        ("a hot dog stand", {"food": {"hot dog"}}),
        ("a hot dog beside a dog", {"food": {"hot dog"}, "dogs": {"dog"}}),
        ("a 3d cake", {"food": {"3d cake"}}),
        ("a 13D cake", {}),
    ],
)
def test_english_keywords_match_whole_words_and_the_longest(text, expected):
    assert found(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("窗台上有一只猫在睡觉", {"cats": {"猫"}}),
        ("两只小猫打架", {"cats": {"小猫"}}),
        ("大熊猫吃竹子", {"pandas": {"熊猫"}}),
        ("小熊猫不是熊猫", {"pandas": {"小熊猫", "熊猫"}}),
        ("熊猫和猫成了朋友", {"pandas": {"熊猫"}, "cats": {"猫"}}),
        ("买一根热狗喂狗", {"food": {"热狗"}, "dogs": {"狗"}}),
        ("香煎T骨牛排", {"food": {"t骨牛排"}}),
        ("XXT骨牛排", {}),
        ("一只cat和一条dog", {"cats": {"cat"}, "dogs": {"dog"}}),
        ("风景照片", {}),
    ],
)
def test_chinese_keywords_match_anywhere_and_the_longest(text, expected):
    assert found(text) == expected


def test_matches_that_overlap_without_containing_each_other_both_count():
    matcher = KeywordMatcher([leaf("one", ("stone bridge",), ()), leaf("two", ("bridge tower",), ())])
    assert set(matcher.keywords_by_leaf(["an old stone bridge tower"])) == {"test/one", "test/two"}


def test_keywords_of_several_texts_are_joined():
    assert MATCHER.keywords_by_leaf(["a cat", "一只小猫"])["test/cats"] == {"cat", "小猫"}


def test_a_keyword_of_two_leaves_counts_for_both():
    matcher = KeywordMatcher([leaf("one", ("lantern",), ()), leaf("two", ("lantern",), ())])
    assert set(matcher.keywords_by_leaf(["red lanterns"])) == {"test/one", "test/two"}


def test_no_leaves_match_nothing():
    assert KeywordMatcher([]).matches("a cat") == []


def test_the_keywords_that_hide_a_leafs_are_known_without_text():
    longer = MATCHER.longer_keywords()
    assert {"熊猫", "小熊猫", "小猫", "ginger cat"} <= set(longer["test/cats"])
    assert "hot dogs" in longer["test/dogs"]
    assert not any("concatenate" in form for form in longer["test/cats"])


@pytest.mark.parametrize(
    ("keyword", "forms"),
    [
        ("cat", ("cat", "cats")),
        ("City", ("city", "cities")),
        ("toy", ("toy", "toys")),
        ("bus", ("bus",)),
        ("tomato", ("tomato", "tomatos", "tomatoes")),
        ("studio", ("studio", "studios")),
        ("box", ("box", "boxes")),
        ("beach", ("beach", "beaches")),
        ("glass-works", ("glass works",)),
        ("Formula 1", ("formula 1",)),
    ],
)
def test_english_keywords_match_in_the_regular_plural(keyword, forms):
    assert english_forms(keyword) == forms


@given(st.text(max_size=80))
def test_every_match_is_the_text_it_names_and_lies_in_no_other(text):
    compared = normalised(text)
    matches = MATCHER.matches(text)
    assert all(compared[match.start : match.end] == match.form for match in matches)
    spans = [(match.start, match.end) for match in matches]
    assert not any(a != b and b[0] <= a[0] and a[1] <= b[1] for a in spans for b in spans)


@given(st.lists(st.sampled_from(["cat", "小猫", "熊猫", "hot dog", " ", "x", "狗"]), max_size=8))
def test_normalising_twice_changes_nothing(parts):
    once = normalised("".join(parts))
    assert normalised(once) == once
    assert MATCHER.matches(once) == MATCHER.matches("".join(parts))
