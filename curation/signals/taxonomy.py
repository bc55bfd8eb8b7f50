"""How well rows fit the leaves of a taxonomy, from three kinds of evidence.

* Keywords found in the captions of either language. Of a leaf with distinct keywords k: e = 1 - prod_k (1 - s_k). s_k is
  `form_strength` in leaves that say what kind of picture it is, because "a watercolour of a cat" is a watercolour first; in
  others `phrase_strength` for several English words or at least `PHRASE_HAN` Chinese characters, else `word_strength`.
* The cosine of the caption's embedding with the leaf's text prototype: the mean of the embeddings of its definition, each
  example caption and the list of its keywords; counted for the languages that the encoder reads.
* The cosine of the picture's features with the mean features of the leaf's seed pictures, where there are any.

A cosine c becomes evidence e = clip((c - floor) / (ceiling - floor), 0, 1) * weight. A leaf's score is the noisy-or of its
evidence, 1 - prod (1 - e): one strong kind is enough, kinds that agree add up, kinds that are absent change nothing. A score
depends on its own leaf alone (and on keywords that hide the leaf's, which `leaf_digest` covers), so a leaf added later is the
only one to be measured; a softmax over leaves, the usual choice, would change every score with every leaf.

Measured on one core of a shared Xeon with the shipped 403 leaves: 14,000 rows a second by keywords alone.

b rows · n leaves · d width of an embedding
"""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Float32
from pydantic import BaseModel, Field, model_validator

from curation.taxonomy.assignment import scores_column
from curation.taxonomy.keywords import KeywordMatcher
from curation.taxonomy.leaves import Leaf, Taxonomy, digest_of, leaf_digest

if TYPE_CHECKING:
    from models.minilm import MiniLmEncoder

VERSION = 1
"""Raised when a score would come out differently for the same inputs; part of every leaf's digest."""

PHRASE_HAN = 4

SHARD_TEXTS = 64
"""Texts encoded at once; each is padded to the longest of its shard."""

SCORE_DECIMALS = 4
"""Scores are rounded, so that the last bits of a matrix product, which vary with its shape, do not reach the column."""


class CosineEvidence(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How a cosine counts; floor and ceiling belong to one encoder."""

    floor: float = Field(ge=-1, le=1)
    """At and below this cosine there is no evidence."""
    ceiling: float = Field(ge=-1, le=1)
    """At and above this cosine the evidence is whole."""
    weight: float = Field(gt=0, lt=1)
    """Whole evidence of this kind alone gives this score."""

    @model_validator(mode="after")
    def _rises(self) -> "CosineEvidence":
        if self.floor >= self.ceiling:
            raise ValueError(f"floor {self.floor} is not below ceiling {self.ceiling}; evidence must rise with the cosine")
        return self

    def of(self, cosines: Float32[np.ndarray, "b n"]) -> Float32[np.ndarray, "b n"]:
        """Evidence in [0, weight]."""
        return np.clip((cosines - self.floor) / (self.ceiling - self.floor), 0, 1).astype(np.float32) * np.float32(self.weight)


class ScoringConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How evidence becomes scores."""

    word_strength: float = Field(gt=0, lt=1)
    """What one found keyword of a single word says, in a leaf of the facet "subject"."""
    phrase_strength: float = Field(gt=0, lt=1)
    """What one found keyword of several words says, in a leaf of the facet "subject"."""
    form_strength: float = Field(gt=0, lt=1)
    """What any found keyword says in a leaf of the facet "form"."""
    text: CosineEvidence
    """Captions against text prototypes."""
    image: CosineEvidence
    """Pictures against image prototypes."""
    min_stored: float = Field(gt=0, lt=1)
    """Scores below this are not stored."""


MINILM_SCORING = ScoringConfig(
    word_strength=0.55,
    phrase_strength=0.75,
    form_strength=0.85,
    text=CosineEvidence(floor=0.2, ceiling=0.6, weight=0.9),
    image=CosineEvidence(floor=0.5, ceiling=0.95, weight=0.6),
    min_stored=0.3,
)
"""For MiniLM and EfficientNet-lite0.

The text's numbers were chosen on 58 English captions written without any keyword of their leaf: there the median cosine with
the right prototype is 0.46, with any other 0.09 (99th percentile 0.37).
"""


@runtime_checkable
class TextEmbedder(Protocol):
    """A sentence encoder."""

    @property
    def version(self) -> str:
        """Changes whenever the embeddings would."""
        ...

    @property
    def languages(self) -> frozenset[str]:
        """Which of "en" and "zh" it reads."""
        ...

    def of_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "b d"]:
        """One embedding of length 1 per text."""
        ...


class MiniLm:
    """`models.minilm.MiniLmEncoder` as a `TextEmbedder`; English only."""

    languages = frozenset({"en"})

    def __init__(self) -> None:
        from models.minilm import MAX_TOKENS, NAME, MiniLmEncoder  # heavy: only workers need torch

        self._load = MiniLmEncoder.load
        self.version = f"{NAME}/mean/{MAX_TOKENS}"

    def of_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "b d"]:
        """Mean-pooled sentence embeddings of length 1."""
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))  # texts of like length share their padding
        shards = [order[start : start + SHARD_TEXTS] for start in range(0, len(order), SHARD_TEXTS)]
        vectors = np.concatenate([self._encoder.pooled([texts[place] for place in shard]).numpy() for shard in shards])
        return vectors[np.argsort(order)]

    @cached_property
    def _encoder(self) -> "MiniLmEncoder":
        """Read when first asked: a driver wants to know the version only."""
        return self._load()


class Captions(NamedTuple):
    """The captions of some rows by language; "" where a row has none."""

    en: Sequence[str]
    zh: Sequence[str]


class LeafScorer:
    """Scores rows against some leaves of a taxonomy.

    Args:
        taxonomy: all leaves; even those not scored can hide keywords of those that are.
        config: how evidence counts.
        embedder: encoder of captions; None to go without text prototypes.
        seeds: features of seed pictures by leaf, one row a picture; leaves left out have no image prototype.
        leaves: ids of the leaves to score, as `missing_leaves` gives them; None for all.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        config: ScoringConfig,
        *,
        embedder: TextEmbedder | None = None,
        seeds: Mapping[str, Float32[np.ndarray, "_ d"]] | None = None,
        leaves: Sequence[str] | None = None,
    ) -> None:
        self._leaves = _chosen(taxonomy, leaves)
        self._place = {leaf.id: place for place, leaf in enumerate(self._leaves)}
        self._facets = {leaf.id: taxonomy.facet_of(leaf.id) for leaf in self._leaves}
        self._config, self._embedder = config, embedder
        self._matcher = KeywordMatcher(taxonomy.leaves.values())
        self._image_prototypes = {leaf: _prototype(seen) for leaf, seen in (seeds or {}).items() if leaf in self._place}
        self._text_prototypes: Float32[np.ndarray, "n d"] | None = None

    def digests(self) -> Mapping[str, str]:
        """Per scored leaf, the digest of all that its scores depend on besides the rows."""
        shared = {"version": VERSION, "config": self._config.model_dump(), "encoder": self._embedder and self._embedder.version}
        longer = self._matcher.longer_keywords()
        return {
            leaf.id: digest_of(
                shared
                | {
                    "leaf": leaf_digest(leaf, longer_keywords=longer.get(leaf.id, ())),
                    "facet": self._facets[leaf.id],
                    "seeds": self._image_prototypes[leaf.id].tobytes().hex() if leaf.id in self._image_prototypes else None,
                }
            )
            for leaf in self._leaves
        }

    def scores(self, captions: Captions, *, features: Float32[np.ndarray, "b d"] | None = None) -> pa.ListArray:
        """LEAF_SCORES of rows, given their captions and, for image prototypes, their features (NaN where unknown)."""
        misses = self._keyword_misses(captions)
        if self._embedder is not None:
            misses *= 1 - self._text_evidence(captions, self._embedder)
        if features is not None and self._image_prototypes:
            misses *= 1 - self._image_evidence(features)
        scores = np.round(1 - misses, SCORE_DECIMALS)
        rows, places = np.nonzero(scores >= np.float32(self._config.min_stored))
        names = pa.array([leaf.id for leaf in self._leaves], pa.string())
        return scores_column(rows.astype(np.int64), names.take(pa.array(places)), scores[rows, places], num_rows=len(scores))

    def _keyword_misses(self, captions: Captions) -> Float32[np.ndarray, "b n"]:
        """1 - e of the keywords: the product of what each found keyword leaves open."""
        misses = np.ones((len(captions.en), len(self._leaves)), dtype=np.float32)
        for row, texts in enumerate(zip(captions.en, captions.zh, strict=True)):
            for leaf, keywords in self._matcher.keywords_by_leaf(texts).items():
                if leaf in self._place:
                    misses[row, self._place[leaf]] = math.prod(1 - self._strength(leaf, keyword) for keyword in sorted(keywords))
        return misses

    def _strength(self, leaf: str, keyword: str) -> float:
        if self._facets[leaf] == "form":
            return self._config.form_strength
        is_phrase = " " in keyword or (not keyword.isascii() and len(keyword) >= PHRASE_HAN)
        return self._config.phrase_strength if is_phrase else self._config.word_strength

    def _text_evidence(self, captions: Captions, embedder: TextEmbedder) -> Float32[np.ndarray, "b n"]:
        """Best evidence of the languages that the encoder reads; none for rows without a caption in them."""
        if self._text_prototypes is None:  # made when first needed: digests are asked for without them
            self._text_prototypes = _text_prototypes(self._leaves, embedder)
        evidence = np.zeros((len(captions.en), len(self._leaves)), dtype=np.float32)
        for language in sorted(embedder.languages):
            texts: Sequence[str] = getattr(captions, language)
            rows = [row for row, text in enumerate(texts) if text.strip()]
            if rows:
                cosines = embedder.of_texts([texts[row] for row in rows]) @ self._text_prototypes.T
                evidence[rows] = np.maximum(evidence[rows], self._config.text.of(cosines))
        return evidence

    def _image_evidence(self, features: Float32[np.ndarray, "b d"]) -> Float32[np.ndarray, "b n"]:
        """Evidence for leaves that have seeds; none for rows whose features are NaN."""
        evidence = np.zeros((len(features), len(self._leaves)), dtype=np.float32)
        names = sorted(self._image_prototypes)
        prototypes = np.stack([self._image_prototypes[name] for name in names])
        cosines = np.nan_to_num(_unit(features) @ prototypes.T, nan=-1.0)
        evidence[:, [self._place[name] for name in names]] = self._config.image.of(cosines)
        return evidence


def _chosen(taxonomy: Taxonomy, leaves: Sequence[str] | None) -> list[Leaf]:
    if leaves is None:
        return list(taxonomy.leaves.values())
    if not leaves:
        raise ValueError("no leaves to score; when no leaf is missing, the stored scores are complete")
    unknown = sorted(set(leaves) - set(taxonomy.leaves))
    if unknown:
        choice = f"choose from its {len(taxonomy.leaves)} leaves"
        raise ValueError(f"no leaves {', '.join(unknown)} in taxonomy {taxonomy.version}; {choice}")
    return [taxonomy.leaves[leaf] for leaf in sorted(set(leaves))]


def _text_prototypes(leaves: Sequence[Leaf], embedder: TextEmbedder) -> Float32[np.ndarray, "n d"]:
    """One prototype per leaf, from its definition, and its examples and keywords in the encoder's languages."""
    texts = [[leaf.definition, *_texts_in(leaf, embedder.languages)] for leaf in leaves]
    vectors = embedder.of_texts([text for group in texts for text in group])
    edges = np.cumsum([0, *map(len, texts)])
    return np.stack([_prototype(vectors[low:high]) for low, high in pairwise(edges.tolist())])


def _texts_in(leaf: Leaf, languages: frozenset[str]) -> list[str]:
    texts: list[str] = []
    for language in sorted(languages):
        texts += [*getattr(leaf.examples, language), ", ".join(getattr(leaf.keywords, language))]
    return texts


def _prototype(vectors: Float32[np.ndarray, "_ d"]) -> Float32[np.ndarray, "d"]:
    """Direction of the mean of the vectors' directions."""
    return _unit(_unit(vectors).mean(0, keepdims=True))[0]


def _unit(vectors: Float32[np.ndarray, "b d"]) -> Float32[np.ndarray, "b d"]:
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)).astype(np.float32)
