import csv
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.signals.taxonomy import MINILM_SCORING, Captions, CosineEvidence, LeafScorer, MiniLm, ScoringConfig
from curation.taxonomy.assignment import LEAF_SCORES, UNASSIGNED, AssignmentConfig, assign, merge_scores, missing_leaves
from curation.taxonomy.keywords import KeywordMatcher
from curation.taxonomy.leaves import Domain, Examples, Keywords, Leaf, Taxonomy
from curation.taxonomy.loading import checked, load_taxonomy

GOLDEN = Path(__file__).with_name("golden_captions.tsv")
ASSIGNMENT = AssignmentConfig(min_score=0.4, max_further=3)
CONFIG = ScoringConfig(
    word_strength=0.5,
    phrase_strength=0.75,
    form_strength=0.875,
    text=CosineEvidence(floor=0.25, ceiling=0.75, weight=0.5),
    image=CosineEvidence(floor=0.0, ceiling=1.0, weight=0.5),
    min_stored=0.25,
)


def leaf(name: str, en: Sequence[str], zh: Sequence[str], example: str = "Nothing to be seen here") -> Leaf:
    fill = [f"filler {name} {letter}" for letter in "abcd"]
    return Leaf(
        id=f"zoo/{name}", parent="zoo", definition=f"Pictures of {name}.", share=1.0, difficulty="easy",
        keywords=Keywords(en=(*en, *fill), zh=(*zh, *(f"填充{letter}{name}" for letter in "甲乙丙丁"))),
        examples=Examples(en=(example,), zh=("这里什么也没有",)),
    )  # fmt: skip


CATS = leaf("cats", ("cat", "tabby", "ginger tom"), ("猫", "橘色小猫"))
DOGS = leaf("dogs", ("dog", "puppy"), ("狗",))
PANDAS = leaf("pandas", ("panda",), ("熊猫",))
PAINTINGS = leaf("paintings", ("watercolour",), ("水彩",)).model_copy(update={"facet": "form"})


def zoo(*leaves: Leaf) -> Taxonomy:
    shared = tuple(entry.model_copy(update={"share": 1 / len(leaves)}) for entry in leaves)
    domain = Domain(domain="zoo", definition="Animals that are kept.", facet="subject", share=1, leaves=shared)
    return checked([domain])


class WordBags:
    """Embeds a text as the direction of the sum of fixed random vectors, one a word; same words, same embedding."""

    version = "word-bags/1"

    def __init__(self, languages: Sequence[str] = ("en",)) -> None:
        self.languages = frozenset(languages)
        self.texts: list[str] = []

    def of_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += texts
        sums = np.stack([sum((self._vector(word) for word in text.lower().split()), np.zeros(64)) for text in texts])
        return (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)

    def _vector(self, word: str) -> np.ndarray:
        return np.random.default_rng(zlib.crc32(word.strip(".,").encode())).normal(size=64)


def scored(
    scorer: LeafScorer, *, en: Sequence[str] = (), zh: Sequence[str] = (), features: np.ndarray | None = None
) -> list[dict[str, float]]:
    captions = Captions(en or [""] * len(zh), zh or [""] * len(en))
    rows = scorer.scores(captions, features=features).to_pylist()
    return [{entry["leaf"].removeprefix("zoo/"): round(entry["score"], 4) for entry in row} for row in rows]


def test_keywords_say_more_the_longer_and_the_more_they_are():
    scorer = LeafScorer(zoo(CATS, DOGS), CONFIG)
    rows = scored(scorer, en=["a cat", "a cat and another cat", "a cat, a tabby", "a ginger tom", "a cat and a dog", "a house"])
    assert rows == [{"cats": 0.5}, {"cats": 0.5}, {"cats": 0.75}, {"cats": 0.75}, {"cats": 0.5, "dogs": 0.5}, {}]


def test_chinese_keywords_say_as_much():
    scorer = LeafScorer(zoo(CATS, DOGS, PANDAS), CONFIG)
    assert scored(scorer, zh=["一只猫", "橘色小猫", "大熊猫", "空房间"]) == [{"cats": 0.5}, {"cats": 0.75}, {"pandas": 0.5}, {}]


def test_the_kind_of_picture_comes_before_what_it_shows():
    scorer = LeafScorer(zoo(CATS, PAINTINGS), CONFIG)
    assert scored(scorer, en=["a watercolour of a cat"]) == [{"paintings": 0.875, "cats": 0.5}]
    assert list(scored(scorer, en=["a watercolour of a cat"])[0]) == ["paintings", "cats"]


def test_captions_of_both_languages_count_together():
    scorer = LeafScorer(zoo(CATS, DOGS), CONFIG)
    assert scored(scorer, en=["a cat"], zh=["橘色小猫和狗"]) == [{"cats": 0.875, "dogs": 0.5}]


def test_a_caption_without_keywords_finds_its_leaf_by_its_prototype():
    dancing = leaf("bees", ("honeycomb",), ("蜂",), example="Striped workers dancing on the comb")
    scorer = LeafScorer(zoo(CATS, dancing), CONFIG, embedder=WordBags())
    (row,) = scored(scorer, en=["striped workers dancing on the comb"])
    assert list(row) == ["bees"]
    assert 0.25 <= row["bees"] <= 0.5


def test_evidence_of_a_cosine_rises_from_floor_to_ceiling():
    cosines = np.array([[-1.0, 0.25, 0.5, 0.75, 1.0]], dtype=np.float32)
    assert CONFIG.text.of(cosines).tolist() == [[0.0, 0.0, 0.25, 0.5, 0.5]]


def test_a_floor_above_its_ceiling_is_refused():
    with pytest.raises(ValueError, match=r"floor 0\.8 is not below ceiling 0\.2"):
        CosineEvidence(floor=0.8, ceiling=0.2, weight=0.5)


def test_the_encoder_is_only_given_the_languages_it_reads():
    english, both = WordBags(), WordBags(("en", "zh"))
    for embedder in (english, both):
        scored(LeafScorer(zoo(CATS), CONFIG, embedder=embedder), en=["a cat", ""], zh=["一只猫", "猫"])
    assert "一只猫" not in english.texts
    assert "这里什么也没有" not in english.texts
    assert {"一只猫", "猫", "这里什么也没有"} <= set(both.texts)
    assert "" not in both.texts


def test_pictures_like_the_seeds_are_evidence():
    features = np.array([[1, 0], [0, 1], [np.nan, np.nan], [-1, 0]], dtype=np.float32)
    seeds = {"zoo/cats": np.array([[2, 0], [8, 0]], dtype=np.float32)}
    scorer = LeafScorer(zoo(CATS, DOGS), CONFIG, seeds=seeds)
    assert scored(scorer, en=["", "", "", "a dog"], features=features) == [{"cats": 0.5}, {}, {}, {"dogs": 0.5}]
    assert scored(scorer, en=["a cat"], features=features[:1]) == [{"cats": 0.75}]


def test_a_batch_scores_like_its_rows_alone():
    scorer = LeafScorer(load_taxonomy(), MINILM_SCORING)
    rows = golden()
    together = scorer.scores(captions_of(rows))
    alone = [scorer.scores(captions_of([row])).to_pylist()[0] for row in rows]
    assert together.to_pylist() == alone
    assert together.type == LEAF_SCORES


def test_no_rows_give_no_scores():
    assert len(LeafScorer(zoo(CATS), CONFIG, embedder=WordBags()).scores(Captions([], []))) == 0


def test_leaves_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="no leaves zoo/unicorns in taxonomy"):
        LeafScorer(zoo(CATS), CONFIG, leaves=["zoo/unicorns"])
    with pytest.raises(ValueError, match="no leaves to score"):
        LeafScorer(zoo(CATS), CONFIG, leaves=[])


def test_adding_a_leaf_computes_only_that_leaf():
    before, after = zoo(CATS, DOGS), zoo(CATS, DOGS, leaf("birds", ("parrot",), ("鹦鹉",)))
    known = LeafScorer(before, CONFIG, embedder=WordBags()).digests()
    current = LeafScorer(after, CONFIG, embedder=WordBags()).digests()
    missing = missing_leaves(known, current)
    assert missing == ("zoo/birds",)

    embedder = WordBags()
    scorer = LeafScorer(after, CONFIG, embedder=embedder, leaves=missing)
    captions = Captions(["a parrot and a cat", "a dog", "parrot"], ["", "", ""])
    stored = LeafScorer(before, CONFIG, embedder=WordBags()).scores(captions)
    merged = merge_scores(stored, scorer.scores(captions), measured=missing, leaves=after.leaves)
    assert merged.equals(LeafScorer(after, CONFIG, embedder=WordBags()).scores(captions))
    assert "Pictures of birds." in embedder.texts
    assert not {"Pictures of cats.", "Pictures of dogs."} & set(embedder.texts)


def test_digests_are_told_without_embedding_anything():
    embedder = WordBags()
    LeafScorer(zoo(CATS, DOGS), CONFIG, embedder=embedder).digests()
    assert embedder.texts == []


def test_a_new_keyword_that_hides_another_leafs_makes_that_leaf_stale_too():
    """With pandas (熊猫) in the taxonomy, 猫 in 熊猫 is no cat any more: both are computed, dogs are not."""
    before, after = zoo(CATS, DOGS), zoo(CATS, DOGS, PANDAS)
    missing = missing_leaves(LeafScorer(before, CONFIG).digests(), LeafScorer(after, CONFIG).digests())
    assert missing == ("zoo/cats", "zoo/pandas")
    captions = Captions(["", ""], ["熊猫和狗", "一只猫"])
    fresh = LeafScorer(after, CONFIG, leaves=missing).scores(captions)
    merged = merge_scores(LeafScorer(before, CONFIG).scores(captions), fresh, measured=missing, leaves=after.leaves)
    assert merged.equals(LeafScorer(after, CONFIG).scores(captions))


def test_digests_follow_what_scores_depend_on():
    base = LeafScorer(zoo(CATS, DOGS), CONFIG).digests()
    stronger = CONFIG.model_copy(update={"word_strength": 0.6})
    assert missing_leaves(base, LeafScorer(zoo(CATS, DOGS), stronger).digests()) == ("zoo/cats", "zoo/dogs")
    assert missing_leaves(base, LeafScorer(zoo(CATS, DOGS), CONFIG, embedder=WordBags()).digests()) == ("zoo/cats", "zoo/dogs")
    seeds = {"zoo/dogs": np.ones((1, 2), dtype=np.float32)}
    assert missing_leaves(base, LeafScorer(zoo(CATS, DOGS), CONFIG, seeds=seeds).digests()) == ("zoo/dogs",)
    assert base == LeafScorer(zoo(DOGS, CATS), CONFIG).digests()


def golden() -> list[Mapping[str, str]]:
    """Captions of pictures that nobody drew, written for this test and for no leaf's examples."""
    with GOLDEN.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, fieldnames=["leaf", "language", "text"], delimiter="\t", quoting=csv.QUOTE_NONE))


def captions_of(rows: Sequence[Mapping[str, str]]) -> Captions:
    return Captions(*([row["text"] if row["language"] == language else "" for row in rows] for language in ("en", "zh")))


def accuracy(rows: Sequence[Mapping[str, str]], scores: pa.ListArray) -> float:
    assigned = assign(scores, ASSIGNMENT)["leaf"].to_pylist()
    return float(np.mean([leaf == row["leaf"] for leaf, row in zip(assigned, rows, strict=True)]))


def test_the_golden_captions_are_many_wide_and_not_the_taxonomys_own():
    taxonomy, rows = load_taxonomy(), golden()
    own = {text for entry in taxonomy.leaves.values() for text in (*entry.examples.en, *entry.examples.zh)}
    assert {row["leaf"] for row in rows} <= taxonomy.leaves.keys()
    assert {row["leaf"].partition("/")[0] for row in rows} == {domain.domain for domain in taxonomy.domains}
    assert len({row["text"] for row in rows} - own) == len(rows) >= 60
    assert min(sum(row["language"] == language for row in rows) for language in ("en", "zh")) >= 25


def test_chinese_captions_get_their_leaf_by_keywords_alone():
    """37 of 38 measured; the missing one speaks of a hutong at the Spring Festival, which is two leaves' at once."""
    rows = [row for row in golden() if row["language"] == "zh"]
    assert accuracy(rows, LeafScorer(load_taxonomy(), MINILM_SCORING).scores(captions_of(rows))) >= 0.9


@pytest.mark.slow
def test_golden_captions_get_their_leaf():
    """96 of 100 measured (English 59 of 62, Chinese 37 of 38), 99 with the leaf among the best four.

    The captions were written by the author of the taxonomy before the first measurement, which gave 95; the rule that the
    kind of picture comes before its subject came after it, from errors on the taxonomy's own example captions.
    """
    rows = golden()
    scorer = LeafScorer(load_taxonomy(), MINILM_SCORING, embedder=MiniLm())
    scores = scorer.scores(captions_of(rows))
    assert accuracy(rows, scores) >= 0.93
    nonsense = ["IMG_2034.jpg", "click here to read more", "asdf qwer zxcv", "The quarterly results were disappointing.", "a", ""]
    assigned = assign(scorer.scores(Captions(nonsense, [""] * len(nonsense))), ASSIGNMENT)
    assert assigned["leaf"].to_pylist() == [UNASSIGNED] * len(nonsense)


def test_embeddings_come_in_the_order_of_their_texts():
    """Whatever shards they are encoded in."""
    encoder = MiniLm()
    texts = ["a long caption about a harbour at night with many lit boats", "a cat", "two dogs run", "a bar chart of sales"]
    alone = np.concatenate([encoder.of_texts([text]) for text in texts])
    np.testing.assert_allclose(encoder.of_texts(texts), alone, atol=1e-5)


def test_captions_without_keywords_are_found_by_prototypes():
    """A paraphrase of a leaf that holds none of the taxonomy's keywords."""
    text = "A welder in protective gloves joins two pipes, sparks flying"
    taxonomy = load_taxonomy()
    assert KeywordMatcher(taxonomy.leaves.values()).matches(text) == []
    few = ["people/at_work", "animals/cats", "food/coffee", "charts/bar_chart", "nature/mountains", "sports/football"]
    scorer = LeafScorer(taxonomy, MINILM_SCORING, embedder=MiniLm(), leaves=few)
    assert assign(scorer.scores(Captions([text], [""])), ASSIGNMENT)["leaf"].to_pylist() == ["people/at_work"]
