import numpy as np
import pyarrow as pa
import pytest

from curation import balance
from curation.balance import BalanceConfig, CellAxis, LeafAxis, WordAxis
from curation.draws import unit_draws
from curation.evidence import Evidence
from curation.verdict import counts_of, shares_of


def test_the_share_is_that_of_the_formula() -> None:
    assert balance.share_kept(np.array([0, 5, 20, 40]), 20.0).tolist() == [1, 1, 1, 0.5]


def test_about_t_rows_of_a_large_entry_stay_and_all_of_a_small_one() -> None:
    leaves = ["cats"] * 20_000 + ["maps"] * 50
    rows = pa.table({"id": [f"{number}" for number in range(20_050)], "leaf": leaves})
    evidence = Evidence(rows)
    axis = LeafAxis(column="leaf", threshold=1000)
    config = BalanceConfig(leaves=axis, words=None, cells=None, gives="draws")
    shares = shares_of(evidence, config, counts_of(evidence, config, np.ones(20_050, bool)))
    stays = evidence.draws("balance", 0) < shares
    assert stays[20_000:].all()
    assert abs(stays[:20_000].sum() - 1000) < 4 * 1000**0.5


def test_words_are_those_that_say_most_and_rare_ones_are_no_entries() -> None:
    captions = ["A photo of a cat", "a photo of a dog, dog!", "a photo of a cat zxqv", "照片 猫"]
    texts = balance.tokens_of(pa.chunked_array([captions]))
    vocabulary = balance.frequent(balance.vocabulary_of(texts), 2)
    words = balance.entries(texts, vocabulary, 1)
    cat, photo = (int(np.searchsorted(vocabulary.words, balance.text_hashes(pa.array([word])))[0]) for word in ("cat", "photo"))
    lists = [words.codes[start:stop].tolist() for start, stop in zip(words.offsets, words.offsets[1:], strict=False)]
    assert lists[0] == lists[2] == [cat]
    assert lists[1] != [cat]
    assert lists[3] == []
    assert vocabulary.rows[photo] == 3


def test_a_row_stays_if_any_of_its_words_would_keep_it() -> None:
    words = balance.Words(np.array([0, 2, 3, 3]), np.array([0, 1, 0]), 2)
    shares = balance.by_words(words, np.array([100, 20]), 10.0)
    assert shares == pytest.approx([1 - 0.9 * 0.5, 0.1, 1.0])
    assert balance.word_counts(words, np.array([True, False, True])).tolist() == [1, 1]


def test_vocabularies_of_parts_add_up() -> None:
    texts = ["a cat", "a dog", "the cat", "", "cat cat"]
    whole, *parts = (
        balance.vocabulary_of(balance.tokens_of(pa.chunked_array([part]))) for part in (texts, texts[:2], texts[2:])
    )
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(whole, balance.merged(parts), strict=True))


def test_axes_are_joined_by_their_minimum_and_cells_count_at_every_level() -> None:
    generator = np.random.default_rng(0)
    vectors = np.concatenate([np.tile([[1.0, 0, 0]], (900, 1)), np.tile([[0, 1.0, 0]], (100, 1))]).astype(np.float32)
    vectors += 0.01 * generator.normal(size=vectors.shape).astype(np.float32)
    rows = pa.table({"id": [f"{number}" for number in range(1000)], "leaf": ["one"] * 1000, "text": ["same words"] * 1000})
    evidence = Evidence(rows, features=vectors.__getitem__)
    cells = CellAxis(branching=(2, 1), thresholds=(90.0, 1000.0), seed=0)
    alive = np.ones(1000, bool)
    both = BalanceConfig(leaves=LeafAxis(column="leaf", threshold=500), words=None, cells=cells, gives="draws")
    assert shares_of(evidence, both, counts_of(evidence, both, alive)).tolist() == [0.1] * 900 + [0.5] * 100
    words = WordAxis(column="text", threshold=100, min_rows=1, most=4)
    text = BalanceConfig(leaves=None, words=words, cells=None, gives="draws")
    assert shares_of(evidence, text, counts_of(evidence, text, alive)) == pytest.approx([1 - 0.9**2] * 1000)


def test_a_larger_threshold_keeps_all_that_a_smaller_one_kept() -> None:
    codes = np.random.default_rng(0).integers(0, 5, 5000)
    counts, draws = np.bincount(codes), unit_draws(np.arange(5000, dtype=np.uint64), "balance", 3)
    kept = [draws < balance.by_code(codes, counts, threshold) for threshold in (100.0, 200.0, 400.0)]
    assert (kept[0] <= kept[1]).all()
    assert (kept[1] <= kept[2]).all()


def test_quotas_of_parts_agree_with_those_of_the_whole() -> None:
    generator = np.random.default_rng(0)
    codes, draws, alive = generator.integers(-1, 4, 500), generator.random(500), generator.random(500) < 0.8
    quotas = np.array([10, 0, -1, 300])
    last = balance.last_draws(balance.smallest_draws(codes, alive, quotas, draws), quotas)
    parts = [balance.smallest_draws(codes[half], alive[half], quotas, draws[half]) for half in (slice(0, 250), slice(250, 500))]
    joined = [np.sort(np.concatenate(both))[: max(quota, 0)] for *both, quota in zip(*parts, quotas.tolist(), strict=True)]
    assert np.array_equal(balance.last_draws(joined, quotas), last)
    stays = alive & (draws <= np.append(last, np.inf)[codes])
    assert [int((stays & (codes == leaf)).sum()) for leaf in range(4)] == [
        10, 0, int((alive & (codes == 2)).sum()), int((alive & (codes == 3)).sum()),
    ]  # fmt: skip
