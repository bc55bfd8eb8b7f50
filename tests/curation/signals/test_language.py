from pathlib import Path

import pyarrow as pa
import pytest

from curation.captions.facts import captions_en, captions_zh, facts_of
from curation.signals.language import LANGUAGES, SCHEMA, VERSION, language_columns, language_of
from curation.sources.emoji import EmojiConfig, EmojiSource
from curation.sources.protocol import listed


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("A woman in a red coat waits at a bus stop in the rain.", "en"),
        ("red apple", "en"),
        ("sunset", "en"),
        ("Eiffel Tower, Paris", "en"),
        ("Best pizza in town", "en"),
        ("Women's shoes", "en"),
        ("一个女孩在海边放风筝，远处是夕阳。", "zh"),
        ("红苹果", "zh"),
        ("猫", "zh"),
        ("男厨师OK", "zh"),
        ("iPhone 15 手机壳", "zh"),
        ("ein roter Apfel", "other"),
        ("der rote Apfel", "other"),
        ("Katze auf dem Sofa", "other"),
        ("un chien", "other"),
        ("zachód słońca", "other"),
        ("la playa", "other"),
        ("mặt trời", "other"),
        ("solnedgång", "other"),
        ("赤いりんご", "other"),
        ("コーヒー", "other"),
        ("빨간 사과", "other"),
        ("Красное яблоко", "other"),
        ("تفاحة حمراء", "other"),
        ("2034", "none"),
        ("12 3/4 – 50 %", "none"),
        ("", "none"),
        ("🍎", "none"),
    ],
)
def test_languages_of_real_texts(text: str, code: str) -> None:
    assert code in LANGUAGES
    assert language_of(text).code == code


def test_a_long_text_is_surer_than_a_short_one_and_numbers_are_certain() -> None:
    assert language_of("sunset").confidence < 0.7 < 0.99 < language_of("A sunset over the hills behind the old town.").confidence
    assert language_of("2034") == ("none", 1.0)


def test_a_mixed_text_goes_by_the_larger_part_and_says_how_large() -> None:
    assert language_of("dog 狗") == ("zh", 0.5)
    assert language_of("一只小狗 in the park near the lake this morning with its owner").code == "en"


def test_columns_keep_order_and_nulls_and_do_not_depend_on_the_batch() -> None:
    texts = ["red apple", None, "红苹果", "1234"]
    table = language_columns(pa.array(texts))
    assert table.schema == SCHEMA
    assert table["text_language"].to_pylist() == ["en", None, "zh", "none"]
    alone = pa.concat_tables([language_columns(pa.array([text], pa.string())) for text in texts])
    assert alone == table
    assert language_columns(pa.array([], pa.string())).num_rows == 0


def test_captions_of_the_corpus_are_what_they_are_written_in(tmp_path: Path) -> None:
    rows = listed(EmojiSource(EmojiConfig(styles=("flat",)), tmp_path)).to_pylist()[::20]
    facts = [facts_of(row) for row in rows]
    english = [language_of(captions_en(one)[2]).code for one in facts]
    chinese = [language_of(captions_zh(one)[0]).code for one in facts if one.name_zh]
    assert set(english) == {"en"}
    assert set(chinese) == {"zh"}
    short = [language_of(captions_en(one)[0]).code for one in facts]
    assert short.count("en") > 0.96 * len(short)


def test_the_version_is_a_digest() -> None:
    assert int(VERSION, 16) >= 0
    assert len(VERSION) == 12
