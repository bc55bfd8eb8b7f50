from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from curation.signals.contract import Batch
from curation.signals.text_features import DENSE_NAMES, dense, dictionary_of, laid_out, ngrams
from curation.signals.text_quality import (
    KINDS,
    LEARNT_KINDS,
    SCHEMA,
    SIGNAL,
    Classifier,
    load,
    predict,
    report_of,
    save,
    stored_report,
    text_quality_columns,
)
from curation.sources.emoji import EmojiConfig, EmojiSource
from curation.sources.protocol import listed

BY_HAND = yaml.safe_load(Path(__file__).with_name("texts_by_hand.yaml").read_text(encoding="utf-8"))


def _feature(name: str, text: str) -> float:
    return float(dense(laid_out([text]), dictionary_of(["red", "apple"]))[0][DENSE_NAMES.index(name)])


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("letters", "ab1!", 0.5), ("digits", "ab12", 0.5), ("han", "红a", 0.5), ("common_han", "红鎴", 0.5),
        ("vowels", "abce", 0.5), ("upper_case", "aB", 0.5),
        ("unprintable", "a\x07", 0.5), ("unprintable", "a\ufffd", 0.5), ("latin_1", "aé", 0.5),
        ("distinct_characters", "aabb", 0.5), ("distinct_trigrams", "aaaaaa", 0.25), ("longest_run", "abbba", np.log(3)),
        ("distinct_words", "red red apple apple", 0.5), ("most_frequent_word", "red red red apple", 0.75),
        ("known_words", "Red apple zzz qqq", 0.5), ("separators", "a_b.", 0.5), ("commas", "a，", 0.5),
        ("longest_run", "a    b", 0.0), ("most_frequent_word", "红红果", 2 / 3), ("symbols", "a😀", 0.5),
    ],
)  # fmt: skip
def test_features_count_what_they_are_named_for(name: str, text: str, value: float) -> None:
    assert _feature(name, text) == pytest.approx(value, abs=1e-6)


def test_ngrams_span_no_two_texts_and_ignore_case_and_digits() -> None:
    def buckets(text: str) -> list[int]:
        return sorted(ngrams(laid_out([text]))[0].tolist())

    together, owner = ngrams(laid_out(["ab", "cd"]))
    assert sorted(together[owner == 0].tolist()) == buckets("ab")
    assert sorted(together[owner == 1].tolist()) == buckets("cd")
    assert buckets("IMG_2034") == buckets("img_7781")
    assert len(buckets("abcde")) == 5 + 4 + 3 + 2


def test_texts_written_by_hand_are_told_apart() -> None:
    right = {kind: np.mean(predict(load(), texts).argmax(1) == LEARNT_KINDS.index(kind)) for kind, texts in BY_HAND.items()}
    assert right["clean"] >= 0.95
    assert min(right.values()) >= 0.75
    assert np.mean([right[kind] for kind in LEARNT_KINDS]) > 0.9


def test_bare_names_are_clean(tmp_path: Path) -> None:
    rows = listed(EmojiSource(EmojiConfig(styles=("outlined",)), tmp_path)).to_pylist()
    for language in ("en", "zh"):
        names = sorted({row[f"text_{language}"] for row in rows} - {""})
        assert (predict(load(), names).argmax(1) == 0).mean() > 0.98


def test_a_clean_text_scores_above_a_bad_one() -> None:
    scores = {kind: predict(load(), texts)[:, 0] for kind, texts in BY_HAND.items()}
    bad = np.concatenate([scores[kind] for kind in LEARNT_KINDS[1:]])
    above = (scores["clean"][:, None] > bad[None]).mean()
    assert above > 0.98  # area under the ROC curve


def test_the_stored_report_is_of_unseen_texts_in_both_languages() -> None:
    report = stored_report()
    assert report["all"]["accuracy"] > 0.95
    assert report["all"]["texts"] > 5_000
    for language in ("en", "zh"):
        assert report[f"clean/{language}"]["recall"] > 0.95
        assert report[f"garbled/{language}"]["precision"] > 0.97


def test_columns_keep_order_nulls_and_emptiness_and_do_not_depend_on_the_batch() -> None:
    texts = ["A dog on a beach.", None, "", "  ", "IMG_2034.JPG", "一只猫趴在窗台上", "dog dog dog dog dog dog dog"]
    table = text_quality_columns(pa.array(texts))
    assert table.schema == SCHEMA
    assert table["text_quality_kind"].to_pylist() == ["clean", None, "empty", "empty", "file_name", "clean", "repetitive"]
    assert table["text_quality"].to_pylist()[1:4] == [None, 0.0, 0.0]
    assert set(KINDS) > set(LEARNT_KINDS)
    for index, text in enumerate(texts):
        alone = text_quality_columns(pa.array([text], pa.string()))
        assert alone["text_quality_kind"][0] == table["text_quality_kind"][index]
        assert alone["text_quality"][0].as_py() == pytest.approx(table["text_quality"][index].as_py(), abs=1e-6)
    assert text_quality_columns(pa.array([], pa.string())).num_rows == 0


def test_the_signal_judges_the_english_text_or_else_the_chinese_one() -> None:
    rows = pa.table({"text_en": ["IMG_2034.JPG", ""], "text_zh": ["一只猫趴在窗台上", "一只猫趴在窗台上"]})
    assert SIGNAL.build()(Batch(rows, ()))["text_quality_kind"].to_pylist() == ["file_name", "clean"]


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    right = load()
    save(right, tmp_path / "right.safetensors", report={})
    again = load(tmp_path / "right.safetensors")
    assert all(np.array_equal(getattr(again, name), getattr(right, name)) for name in Classifier._fields)
    save(right._replace(dense_weights=right.dense_weights[:-1]), tmp_path / "wrong.safetensors", report={})
    with pytest.raises(ValueError, match="fit it again"):
        load(tmp_path / "wrong.safetensors")


def test_the_report_counts_rows_as_truth_and_columns_as_answer() -> None:
    table = np.zeros((len(LEARNT_KINDS), len(LEARNT_KINDS)), np.int64)
    table[0, 0], table[0, 1], table[1, 1] = 6, 2, 3
    report = report_of(table)
    assert report["clean"] == {"precision": 1.0, "recall": 0.75, "texts": 8}
    assert report["garbled"] == {"precision": 0.6, "recall": 1.0, "texts": 3}
    assert report["all"]["accuracy"] == pytest.approx(9 / 11, abs=1e-4)
