import pytest

from curation.captions.english import (
    article,
    definite,
    indefinite,
    is_countable,
    is_plural,
    is_sentence,
    lowered,
    plural,
)


@pytest.mark.parametrize(
    ("name", "adjective", "expected"),
    [
        ("red apple", "", "a red apple"),
        ("owl", "flat", "a flat owl"),
        ("red apple", "outlined", "an outlined red apple"),
        ("orange", "", "an orange"),
        ("unicorn face", "", "a unicorn face"),
        ("hourglass", "", "an hourglass"),
        ("grapes", "flat", "flat grapes"),
        ("cherries", "", "cherries"),
        ("bread", "", "bread"),
        ("bowl of noodles", "", "a bowl of noodles"),
        ("nest with eggs", "", "a nest with eggs"),
        ("glass of wine", "", "a glass of wine"),
        ("clinking glasses", "", "clinking glasses"),
        ("octopus", "", "an octopus"),
        ("cactus", "", "a cactus"),
        ("rhinoceros", "", "a rhinoceros"),
        ("skis", "", "skis"),
        ("people wrestling", "", "people wrestling"),
        ("person lifting weights", "", "a person lifting weights"),
        ("flag of France", "flat", "the flat flag of France"),
        ("SOS button", "", "an SOS button"),
        ("NEW button", "", "a NEW button"),
        ("Santa Claus", "", "Santa Claus"),
        ("one-hump camel", "", "a one-hump camel"),
        ("man’s shoe", "", "a man’s shoe"),
    ],
)
def test_indefinite_phrases(name: str, adjective: str, expected: str) -> None:
    assert indefinite(name, adjective=adjective) == expected


def test_articles_go_by_the_sound() -> None:
    assert [article(word) for word in ("x-ray", "euro banknote", "8 ball", "ID button", "one-way sign")] == [
        "an",
        "a",
        "an",
        "an",
        "a",
    ]


def test_whole_captions_are_told_from_names() -> None:
    assert is_sentence("A dog runs on the beach.")
    assert is_sentence("the old harbour")
    assert not is_sentence("two hearts")
    assert not is_sentence("red apple")
    assert definite("red apple") == "the red apple"
    assert definite("A dog runs.") == "the picture"
    assert lowered("A dog runs") == "a dog runs"
    assert lowered("SOS button") == "SOS button"


def test_plurals_that_only_look_like_it() -> None:
    assert [is_plural(name) for name in ("dress", "bus", "compass", "lens", "Christmas tree", "paw prints", "jeans")] == [
        False, False, False, False, False, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pear", "pears"), ("sandwich", "sandwiches"), ("blueberry", "blueberries"), ("wolf", "wolves"), ("mouse", "mice"),
        ("pot of stew", "pots of stew"), ("lollipop", "lollipops"), ("goose", "geese"), ("fish", "fish"), ("box", "boxes"),
    ],
)  # fmt: skip
def test_several_things_take_the_plural(name: str, expected: str) -> None:
    assert plural(name) == expected


@pytest.mark.parametrize(("name", "expected"), [("pear", True), ("grapes", False), ("bread", False), ("Mount Fuji", False)])
def test_only_single_things_are_counted(name: str, expected: bool) -> None:
    assert is_countable(name) is expected
