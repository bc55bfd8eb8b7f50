import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curation.draws import mixed, text_hashes, unit_draws


@given(st.lists(st.one_of(st.none(), st.text(max_size=40)), max_size=20), st.integers(0, 20))
def test_a_hash_depends_on_the_text_alone_however_the_column_is_cut(texts: list[str | None], cut: int) -> None:
    whole = text_hashes(pa.array(texts, pa.string()))
    parts = pa.chunked_array([pa.array(texts[:cut], pa.large_string()), pa.array(texts[cut:], pa.large_string())])
    assert np.array_equal(whole, text_hashes(parts))
    assert np.array_equal(whole[cut:], text_hashes(pa.array(texts, pa.string())[cut:]))
    assert len(np.unique(whole)) == len(set(texts))


def test_long_texts_that_differ_in_one_byte_or_in_zeros_have_other_hashes() -> None:
    texts = ["a" * 100, "a" * 99 + "b", "a" * 101, "", "\0", "\0" * 8, "\0" * 9, "a" * 8, "a" * 8 + "\0"]
    assert len(np.unique(text_hashes(pa.array(texts)))) == len(texts)


def test_draws_are_uniform_and_independent_between_keys() -> None:
    hashes = text_hashes(pa.array([f"emoji/{number}" for number in range(100_000)]))
    first, second = unit_draws(hashes, "balance", 0), unit_draws(hashes, "balance", 1)
    assert first.min() >= 0
    assert first.max() < 1
    counts = np.histogram(first, bins=100, range=(0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 150           # chi-squared with 99 degrees of freedom: P(> 150) < 0.001
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.015


def test_mixing_loses_nothing() -> None:
    assert len(np.unique(mixed(np.arange(100_000, dtype=np.uint64)))) == 100_000


def test_hashes_and_draws_are_the_same_for_ever() -> None:
    """Selections are named by them; a change makes every selection on record another one."""
    hashes = text_hashes(pa.array(["emoji/apple", "", "文字"]))
    golden = ["79e0d98c291fd642", "e220a8397b1dcdaf", "d95b1ecb06c3756d"]
    assert [f"{value:016x}" for value in hashes.tolist()] == golden
    assert unit_draws(hashes[:1], "balance", 0).tolist() == [0.2035317430482706]
