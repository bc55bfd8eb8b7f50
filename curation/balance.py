"""Balance: what there is too much of is thinned, what there is little of stays whole.

Each axis sorts rows into entries (leaves of the taxonomy, words of the text, nested cells of features) and gives a row of an
entry with `count` rows the probability p = min(1, t / count), the t-balancing of MetaCLIP (Xu et al. 2023, section 3; written
from the formula, the authors' code is for non-commercial use). A row with several words stays if the draw of any of them
would keep it: p = 1 - Π (1 - p_word). Axes are joined by their minimum, so a glut that shows on two axes is thinned once, not
twice: the dual-axis sampling of Seedream 3.0, visual clusters by TF-IDF words. One keyed draw a row decides: a larger t keeps
all that a smaller one kept.

n rows · w words in all rows together
"""

# pyarrow.compute makes its functions at import, where the checker cannot see them.
# pyright: reportAttributeAccessIssue=false

from collections import Counter
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float64, Int64, UInt64
from pydantic import BaseModel, Field

from curation.draws import text_hashes


class LeafAxis(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Entries are the values of a column; a row without one is never thinned."""

    column: str
    """Texts: the leaf, the category, the source."""
    threshold: float = Field(gt=0)
    """t: rows of an entry that are expected to stay."""


class WordAxis(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Entries are the words that say most of a text by TF-IDF; a text without any is never thinned."""

    column: str
    """Texts, in a script that separates words."""
    threshold: float = Field(gt=0)
    """t: rows of a word that are expected to stay."""
    min_rows: int = Field(ge=1)
    """Rarer words are no entries: every text has some rare word, and none would be thinned."""
    most: int = Field(ge=1)
    """Entries of a text, those with the highest TF-IDF."""


class CellAxis(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Entries are nested cells of features, each level with a threshold of its own."""

    branching: tuple[int, ...] = Field(min_length=1)
    """Cells of the first level, then children of every cell."""
    thresholds: tuple[float, ...] = Field(min_length=1)
    """t of each level, the coarsest first."""
    seed: int
    """Key of the sample that centres are fitted on."""


class BalanceConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """On which axes, and whether rows are drawn or weighed."""

    leaves: LeafAxis | None
    """By a column."""
    words: WordAxis | None
    """By the words of a text."""
    cells: CellAxis | None
    """By features."""
    gives: Literal["draws", "weights"]
    """Drop the rows that lose their draw, or keep all with p as weight."""


class QuotaConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Most rows of every leaf; a keyed draw says which, and a larger quota keeps all that a smaller one kept."""

    column: str
    """Whose values are the leaves."""
    rows: tuple[tuple[str, int], ...]
    """Leaves and their quotas."""
    otherwise: int | None = Field(ge=0)
    """Quota of a leaf that is not named; None for all its rows."""


class Tokens(NamedTuple):
    """Words of every text, by their hashes: those of text i are `words[offsets[i]:offsets[i + 1]]`."""

    offsets: Int64[np.ndarray, "offsets"]
    words: UInt64[np.ndarray, "w"]

    @property
    def num_rows(self) -> int:
        """Texts."""
        return len(self.offsets) - 1


class Words(NamedTuple):
    """Entries of every row: those of row i are `codes[offsets[i]:offsets[i + 1]]`."""

    offsets: Int64[np.ndarray, "offsets"]
    codes: Int64[np.ndarray, "w"]
    num_codes: int


class Counts(NamedTuple):
    """How many rows that are still alive each entry has; counts of parts of a table add up."""

    leaves: Mapping[str, int]
    words: Int64[np.ndarray, "c"]
    cells: tuple[Int64[np.ndarray, "_"], ...]

    def __add__(self, other: "Counts") -> "Counts":  # pyright: ignore[reportIncompatibleMethodOverride] - counts, not tuples
        """The counts of both parts together."""
        leaves = Counter(self.leaves) + Counter(other.leaves)
        cells = tuple(ours + theirs for ours, theirs in zip(self.cells, other.cells, strict=True))
        return Counts(leaves, self.words + other.words, cells)


class Vocabulary(NamedTuple):
    """How many rows have each word; words by their hash, sorted."""

    words: UInt64[np.ndarray, "v"]
    rows: Int64[np.ndarray, "v"]
    num_rows: int


def share_kept(counts: np.ndarray, threshold: float) -> np.ndarray:
    """Probability min(1, t / count) for each count (Xu et al. 2023); 1 where there is nothing."""
    return np.minimum(1.0, threshold / np.maximum(counts, 1))


def by_code(codes: Int64[np.ndarray, "n"], counts: np.ndarray, threshold: float) -> Float64[np.ndarray, "n"]:
    """Probability of each row by its one entry; rows with a negative code have none and stay."""
    return np.append(share_kept(counts, threshold), 1.0)[codes]


def by_words(words: Words, counts: Int64[np.ndarray, "c"], threshold: float) -> Float64[np.ndarray, "n"]:
    """Probability of each row by its words: that one draw of several succeeds."""
    lost = 1.0 - share_kept(counts, threshold)[words.codes]
    starts, lengths = words.offsets[:-1], np.diff(words.offsets)
    missed = np.multiply.reduceat(np.append(lost, 1.0), starts) if len(starts) else np.empty(0)
    return np.where(lengths > 0, 1.0 - missed, 1.0)


def word_counts(words: Words, alive: Bool[np.ndarray, "n"]) -> Int64[np.ndarray, "c"]:
    """Rows that are alive, for each word."""
    return np.bincount(words.codes[np.repeat(alive, np.diff(words.offsets))], minlength=words.num_codes)


def vocabulary_of(tokens: Tokens) -> Vocabulary:
    """All words of the texts with the number of texts that have them. Vocabularies of parts add up with `merged`."""
    words, codes = np.unique(tokens.words, return_inverse=True)
    rows = np.repeat(np.arange(tokens.num_rows), np.diff(tokens.offsets))
    once = np.unique(rows * max(len(words), 1) + codes) % max(len(words), 1)
    return Vocabulary(words, np.bincount(once, minlength=len(words)), tokens.num_rows)


def merged(parts: list[Vocabulary]) -> Vocabulary:
    """The vocabulary of all parts together."""
    words, places = np.unique(np.concatenate([part.words for part in parts]), return_inverse=True)
    rows = np.zeros(len(words), np.int64)
    np.add.at(rows, places, np.concatenate([part.rows for part in parts]))
    return Vocabulary(words, rows, sum(part.num_rows for part in parts))


def frequent(vocabulary: Vocabulary, min_rows: int) -> Vocabulary:
    """The vocabulary without rare words."""
    is_frequent = vocabulary.rows >= min_rows
    return Vocabulary(vocabulary.words[is_frequent], vocabulary.rows[is_frequent], vocabulary.num_rows)


def entries(tokens: Tokens, vocabulary: Vocabulary, most: int) -> Words:
    """The `most` words of each text with the highest TF-IDF, tf · ln(N / df); of equal ones the lowest hash."""
    places = np.searchsorted(vocabulary.words, tokens.words)
    places = np.minimum(places, max(len(vocabulary.words) - 1, 0))
    is_known = vocabulary.words[places] == tokens.words if len(vocabulary.words) else np.zeros(len(places), bool)
    rows = np.repeat(np.arange(tokens.num_rows), np.diff(tokens.offsets))[is_known]
    pairs, times = np.unique(rows * max(len(vocabulary.words), 1) + places[is_known], return_counts=True)
    rows, codes = np.divmod(pairs, max(len(vocabulary.words), 1))
    worth = times * np.log(vocabulary.num_rows / np.maximum(vocabulary.rows[codes], 1))
    order = np.lexsort((codes, -worth, rows))
    rows, codes = rows[order], codes[order]
    starts = np.searchsorted(rows, np.arange(tokens.num_rows))
    is_chosen = np.arange(len(rows)) - starts[rows] < most
    counts = np.bincount(rows[is_chosen], minlength=tokens.num_rows)
    return Words(np.append(0, np.cumsum(counts)), codes[is_chosen], len(vocabulary.words))


def smallest_draws(
    codes: Int64[np.ndarray, "n"], alive: Bool[np.ndarray, "n"], quotas: Int64[np.ndarray, "c"], draws: Float64[np.ndarray, "n"]
) -> list[Float64[np.ndarray, "_"]]:
    """For each leaf, the draws of the rows that its quota has room for; of parts of a table, the smallest of all parts together.

    Args:
        codes: leaf of every row, negative for none.
        quotas: of every leaf; negative for no limit, and then nothing is listed.
    """
    rows = np.flatnonzero(alive & (np.append(quotas, -1)[codes] >= 0))
    rows = rows[np.lexsort((draws[rows], codes[rows]))]
    edges = np.searchsorted(codes[rows], np.arange(len(quotas) + 1))
    return [
        draws[rows[start : min(stop, start + quota)]] if quota > 0 else np.empty(0)
        for start, stop, quota in zip(edges[:-1].tolist(), edges[1:].tolist(), quotas.tolist(), strict=True)
    ]


def last_draws(smallest: list[Float64[np.ndarray, "_"]], quotas: Int64[np.ndarray, "c"]) -> Float64[np.ndarray, "c"]:
    """The largest draw that stays in each leaf."""
    last = [draws[-1] if len(draws) else -1.0 for draws in smallest]
    has_room = [quota < 0 or len(draws) < quota for draws, quota in zip(smallest, quotas.tolist(), strict=True)]
    return np.where(np.array(has_room, bool), np.inf, np.array(last, np.float64))


def exceeded(
    codes: Int64[np.ndarray, "n"], alive: Bool[np.ndarray, "n"], quotas: Int64[np.ndarray, "c"]
) -> Int64[np.ndarray, "c"]:
    """The quotas, without those that have room for all rows that are alive anyway."""
    counts = np.bincount(codes[alive & (codes >= 0)], minlength=len(quotas))
    return np.where(counts > quotas, quotas, -1)


def tokens_of(texts: pa.ChunkedArray) -> Tokens:
    """The words of each text, in lower case: runs of letters and digits of any script."""
    lower = pc.utf8_lower(pc.fill_null(texts, ""))
    spaced = pc.utf8_trim_whitespace(pc.replace_substring_regex(lower, r"[^\p{L}\p{N}]+", " "))
    lists = pc.split_pattern(spaced.combine_chunks(), " ")
    words = pc.list_flatten(lists)
    lengths = pc.list_value_length(lists).to_numpy()
    is_word = pc.greater(pc.binary_length(words), 0).to_numpy(zero_copy_only=False)
    rows = np.repeat(np.arange(len(lengths)), lengths)[is_word]
    return Tokens(np.append(0, np.cumsum(np.bincount(rows, minlength=len(lengths)))), text_hashes(words)[is_word])
