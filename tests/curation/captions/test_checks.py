import pytest

from curation.captions.checks import FAULTS, faults_of, opens_with_boilerplate, tidy
from curation.captions.facts import captions_en, captions_zh, facts_of
from curation.captions.prompts.prompt import load_prompt, prompt_ids
from curation.sources.emoji import EmojiConfig, EmojiSource
from curation.sources.protocol import listed
from curation.tables import CAPTION_LEVELS

GOOD = {
    ("en", "short"): ("red apple", "flag of Côte d’Ivoire", "3D render of a chair", "café terrace at night"),
    ("en", "medium"): (
        "A woman in a red coat waits at a bus stop in the rain.",
        'A neon sign that says "Sorry, I cannot hear you" above a bar door.',
        'A shop window with the address "www.example.com" painted in gold.',
        "A dog, a cat, a cow and a horse stand in a row.",
    ),
    ("en", "long"): (
        'A poster in blue and white. At the top stands the title "猫的生活" in large letters. Below, a cat sleeps on a chair.',
    ),
    ("zh", "short"): ("红苹果", "戴帽子的猫", "写着“SALE”的牌子"),
    ("zh", "medium"): (
        "一位女士撑着伞在雨中等公交车。",
        "墙上贴着写有“对不起，我不能”的纸条。",
        "两只小狗在草地上追逐一个红球。",
    ),
    ("zh", "long"): ("一张蓝白色调的海报，上方用大字写着「猫的生活」，下面有一只猫睡在椅子上，背景是纯色的墙面。",),
}


@pytest.mark.parametrize(("key", "text"), [(key, text) for key, texts in GOOD.items() for text in texts])
def test_good_captions_have_no_fault(key: tuple[str, str], text: str) -> None:
    assert faults_of(text, language=key[0], level=key[1]) == ()


@pytest.mark.parametrize(
    ("text", "level", "language", "faults"),
    [
        ("", "short", "en", ("empty",)),
        (" \n ", "short", "zh", ("empty",)),
        ("A dog\x07 on a beach", "medium", "en", ("non_printable",)),
        ("A dog \ufffd on a beach", "medium", "en", ("non_printable",)),
        ("I'm sorry, but I can't help with that.", "medium", "en", ("refusing",)),
        ("As an AI language model I do not look at pictures.", "medium", "en", ("refusing",)),
        ("I cannot describe this picture for you today.", "medium", "en", ("refusing",)),
        ("作为AI语言模型，我无法查看图片内容。", "medium", "zh", ("refusing",)),
        ("很抱歉，我不能描述这张照片。", "medium", "zh", ("refusing",)),
        ('{"short": "red apple"}', "short", "en", ("leaking",)),
        ("Caption: a red apple on a table", "medium", "en", ("leaking",)),
        ("A red apple, see IMG_2034.jpg for more.", "medium", "en", ("leaking",)),
        ("A red apple from https://example.com/apple on a table", "medium", "en", ("leaking",)),
        ("A red apple on a table<|im_end|>", "medium", "en", ("leaking",)),
        ("描述：桌上的红苹果", "medium", "zh", ("leaking",)),
        ("桌上的红苹果和一把水果刀", "medium", "en", ("wrong_language", "too_short")),
        ("Ein roter Apfel liegt auf dem Tisch neben einem Messer.", "medium", "en", ("wrong_language",)),
        ("A red apple on a table", "medium", "zh", ("wrong_language",)),
        ("テーブルの上の赤いりんご", "medium", "zh", ("wrong_language",)),
        ("a dog a dog a dog a dog on a beach", "medium", "en", ("repetitive",)),
        ("very very very very very red apple", "short", "en", ("repetitive",)),
        ("The man stands still. The man stands still. The man stands still.", "long", "en", ("repetitive",)),
        ("图中有一个人，图中有一个人，图中有一个人，图中有一个人", "long", "zh", ("repetitive",)),
        ("好好好好好好好", "short", "zh", ("repetitive",)),
        ("Apple.", "long", "en", ("too_short",)),
        ("苹果", "long", "zh", ("too_short",)),
        (f"a red apple {' '.join(f'and number {one}' for one in range(9))}", "short", "en", ("too_long",)),
        (f"桌上的红苹果{'和'.join('甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥')}", "short", "zh", ("too_long",)),
    ],
)  # fmt: skip
def test_each_fault_is_found_and_no_other(text: str, level: str, language: str, faults: tuple[str, ...]) -> None:
    assert faults_of(text, level=level, language=language) == faults
    assert set(faults) <= set(FAULTS)


@pytest.mark.parametrize("prompt_id", prompt_ids())
def test_a_prompt_that_comes_back_leaks(prompt_id: str) -> None:
    prompt = load_prompt(prompt_id)
    stretch = " ".join(prompt.text.split()[5:30]) if prompt.language == "en" else prompt.text[10:60]
    for level in CAPTION_LEVELS:
        assert "leaking" in faults_of(stretch, level=level, language=prompt.language, prompt=prompt.text)
    for texts in (GOOD[prompt.language, level] for level in CAPTION_LEVELS):
        assert not any(
            "leaking" in faults_of(text, level="medium", language=prompt.language, prompt=prompt.text) for text in texts
        )


@pytest.mark.parametrize(
    ("text", "opens"),
    [
        ("The image shows a dog.", True), ("This picture depicts a dog.", True), ("In this image, a dog runs.", True),
        ("图中有一只狗。", True), ("这张图片展示了一只狗。", True),
        ("A dog in a picture frame.", False), ("Image sensor on a board", False), ("一只狗看着墙上的图片。", False),
    ],
)  # fmt: skip
def test_boilerplate_openings_are_told_but_not_refused(text: str, opens: bool) -> None:
    assert opens_with_boilerplate(text) is opens
    assert "leaking" not in faults_of(text, level="medium", language="zh" if not text.isascii() else "en")


def test_tidying_takes_white_space_and_quotes_around_the_whole() -> None:
    assert tidy('  "A red\n\tapple" ') == "A red apple"
    assert tidy('"Open" and "closed"') == '"Open" and "closed"'
    assert tidy("“红苹果”") == "红苹果"


def test_captions_from_facts_of_the_corpus_pass(tmp_path_factory: pytest.TempPathFactory) -> None:
    source = EmojiSource(EmojiConfig(styles=("outlined",)), tmp_path_factory.mktemp("cache"))
    rows = listed(source).to_pylist()[::40]
    for facts in map(facts_of, rows):
        for language, texts in (("en", captions_en(facts)), ("zh", captions_zh(facts))):
            for level, text in zip(CAPTION_LEVELS, texts, strict=True):
                assert not text or faults_of(text, level=level, language=language) == (), text
