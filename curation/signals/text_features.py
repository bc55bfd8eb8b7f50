"""Numbers that tell a caption from junk: hashed character n-grams, and shares, repetition and variety of a whole text.

Everything is computed for a batch at once on its code points laid end to end, without a Python loop over texts or words. Lengths
of n-grams are bounded by texts, so no n-gram spans two of them.

p code points of all texts, end to end · t texts · g n-grams · k dense features
"""

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8, UInt32, UInt64

NGRAM_LENGTHS: tuple[int, ...] = (1, 2, 3, 4)
NUM_BUCKETS = 1 << 14
"""Buckets that n-grams of all lengths share."""

MAX_CHARACTERS = 2_000
"""Longer texts are judged by their beginning."""

DENSE_NAMES: tuple[str, ...] = (
    "log_characters", "letters", "digits", "punctuation", "spaces", "symbols", "unprintable", "upper_case", "latin_1", "han",
    "common_han", "vowels", "separators", "commas", "entropy", "distinct_characters", "distinct_trigrams", "longest_run",
    "log_words", "distinct_words", "most_frequent_word", "word_length", "known_words", "long_words",
)  # fmt: skip
"""Names of the dense features, in order."""

_MIX = np.uint64(0x9E3779B97F4A7C15)
_FIRST_BASE = np.uint64(0xBF58476D1CE4E5B9)

OTHER, LETTER, HAN, DIGIT, PUNCTUATION, SPACE, SYMBOL, UNPRINTABLE = range(8)


class Laid(NamedTuple):
    """Texts of a batch as code points laid end to end."""

    codes: UInt32[np.ndarray, "p"]
    """Lower case, digits as "0"."""
    raw: UInt32[np.ndarray, "p"]
    """As they came."""
    owner: Int64[np.ndarray, "p"]
    """Which text each belongs to, never falling."""
    num_texts: int


class Words(NamedTuple):
    """Runs of letters and digits; a Han character is a word of its own."""

    hashes: UInt64[np.ndarray, "w"]
    owner: Int64[np.ndarray, "w"]
    lengths: Int64[np.ndarray, "w"]
    is_latin: Bool[np.ndarray, "w"]


def laid_out(texts: Sequence[str]) -> Laid:
    """The texts end to end, each cut at MAX_CHARACTERS."""
    cut = [text[:MAX_CHARACTERS].replace("\0", "\ufffd") for text in texts]
    joined = "\0".join([*cut, ""])
    raw = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    is_end = raw == 0
    owner = np.cumsum(is_end) - is_end
    lowered = _lower_table()[np.minimum(raw, 0xFFFF)]
    codes = np.where(raw > 0xFFFF, raw, lowered)
    return Laid(codes[~is_end], raw[~is_end], owner[~is_end].astype(np.int64), len(texts))


def ngrams(laid: Laid) -> tuple[Int64[np.ndarray, "g"], Int64[np.ndarray, "g"]]:
    """Bucket and owner of every n-gram."""
    buckets, owners = [], []
    for length in NGRAM_LENGTHS:
        hashes, owner = _ngram_hashes(laid, length)
        buckets.append((hashes % np.uint64(NUM_BUCKETS)).astype(np.int64))
        owners.append(owner)
    return np.concatenate(buckets), np.concatenate(owners)


def dense(laid: Laid, known: UInt64[np.ndarray, "v"]) -> Float32[np.ndarray, "t k"]:
    """DENSE_NAMES of every text; finite for an empty one too.

    Args:
        known: `dictionary_of` English words.
    """
    count = _counter(laid)
    characters = np.maximum(count(None), 1.0)
    kinds = _kinds(laid.raw)
    columns = [np.log1p(count(None))]
    columns += [count(kinds == kind) / characters for kind in (LETTER, DIGIT, PUNCTUATION, SPACE, SYMBOL, UNPRINTABLE)]
    columns += _shares(laid, kinds, count, characters)
    columns += _variety(laid, characters)
    columns += _word_features(words_of(laid, kinds), laid.num_texts, known)
    return np.stack(columns, axis=1).astype(np.float32)


def words_of(laid: Laid, kinds: UInt8[np.ndarray, "p"]) -> Words:
    """Words of all texts, hashed in lower case."""
    in_word = (kinds == LETTER) | (kinds == DIGIT) | (kinds == HAN)
    places = np.flatnonzero(in_word)
    if not len(places):
        none = np.zeros(0, np.int64)
        return Words(none.astype(np.uint64), none, none, none.astype(bool))
    joins = (np.diff(places) == 1) & (np.diff(laid.owner[places]) == 0)
    joins &= (kinds[places[1:]] != HAN) & (kinds[places[:-1]] != HAN)
    starts = np.flatnonzero(np.concatenate([[True], ~joins]))
    lengths = np.diff(np.append(starts, len(places)))
    within = np.arange(len(places)) - np.repeat(starts, lengths)
    terms = _mixed(laid.codes[places]) * _powers()[within]
    hashes = np.add.reduceat(terms, starts)
    return Words(hashes, laid.owner[places[starts]], lengths, kinds[places[starts]] == LETTER)


def dictionary_of(entries: Sequence[str]) -> UInt64[np.ndarray, "v"]:
    """Sorted hashes, as `words_of` gives them, of words of letters only."""
    laid = laid_out(entries)
    found = words_of(laid, _kinds(laid.raw))
    assert len(found.hashes) == len(entries), "an entry is no single word"
    return np.unique(found.hashes)


def _ngram_hashes(laid: Laid, length: int) -> tuple[UInt64[np.ndarray, "g"], Int64[np.ndarray, "g"]]:
    num = len(laid.codes) - length + 1
    if num <= 0:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    hashes = np.full(num, length, np.uint64)
    mixed = _mixed(laid.codes)
    for offset in range(length):
        hashes = hashes * _MIX + mixed[offset : offset + num]
        hashes ^= hashes >> np.uint64(29)
    is_whole = laid.owner[:num] == laid.owner[length - 1 :]
    return hashes[is_whole], laid.owner[:num][is_whole]


def _mixed(codes: UInt32[np.ndarray, "p"]) -> UInt64[np.ndarray, "p"]:
    """Splitmix64's finaliser: neighbouring code points become unrelated numbers."""
    mixed = (codes.astype(np.uint64) + np.uint64(1)) * _MIX
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST_BASE
    return mixed ^ (mixed >> np.uint64(27))


_Count = Callable[[np.ndarray | None], np.ndarray]


def _counter(laid: Laid) -> _Count:
    def count(mask: np.ndarray | None) -> np.ndarray:
        owner = laid.owner if mask is None else laid.owner[mask]
        return np.bincount(owner, minlength=laid.num_texts).astype(np.float64)

    return count


def _shares(laid: Laid, kinds: np.ndarray, count: _Count, characters: np.ndarray) -> list[np.ndarray]:
    """Upper case, Latin-1 supplement, Han, common among Han, vowels among Latin letters, separators, commas."""
    raw, codes = laid.raw, laid.codes
    letters, han = np.maximum(count(kinds == LETTER), 1.0), count(kinds == HAN)
    is_latin = (codes >= ord("a")) & (codes <= ord("z"))
    latin = count(is_latin)
    return [
        count((kinds == LETTER) & (raw != codes)) / letters,
        count((raw >= 0x80) & (raw <= 0x24F)) / characters,
        han / characters,
        count((kinds == HAN) & _common_han()[np.minimum(raw, 0xFFFF)]) / np.maximum(han, 1.0),
        count(is_latin & np.isin(codes, _ords("aeiouy"))) / np.maximum(latin, 1.0),
        count(np.isin(raw, _ords("_-./\\=|%&#@:"))) / characters,
        count(np.isin(raw, _ords(",，、;；"))) / characters,
    ]


def _variety(laid: Laid, characters: np.ndarray) -> list[np.ndarray]:
    """Entropy over the logarithm of the length, distinct characters and trigrams by length, longest run of one character."""
    owner, counts = _distinct(laid.owner, _mixed(laid.codes))
    share = counts / characters[owner]
    entropy = np.bincount(owner, -share * np.log(share), minlength=laid.num_texts)
    hashes, trigram_owner = _ngram_hashes(laid, 3)
    num_trigrams = np.bincount(trigram_owner, minlength=laid.num_texts)
    distinct_owner, _ = _distinct(trigram_owner, hashes)
    distinct_trigrams = np.bincount(distinct_owner, minlength=laid.num_texts)
    return [
        entropy / np.log(characters + 1),
        np.bincount(owner, minlength=laid.num_texts) / characters,
        np.where(num_trigrams > 0, distinct_trigrams / np.maximum(num_trigrams, 1), 1.0),
        _longest_run(laid),
    ]


def _longest_run(laid: Laid) -> np.ndarray:
    """Logarithm of the longest run of one character that is no space, 0 for a run of one."""
    longest = np.ones(laid.num_texts)
    if len(laid.codes):
        changes = (np.diff(laid.raw) != 0) | (np.diff(laid.owner) != 0)
        starts = np.flatnonzero(np.concatenate([[True], changes]))
        lengths = np.diff(np.append(starts, len(laid.codes)))
        lengths = np.where(laid.raw[starts] == ord(" "), 1, lengths)
        np.maximum.at(longest, laid.owner[starts], lengths)
    return np.log(longest)


def _word_features(words: Words, num_texts: int, known: UInt64[np.ndarray, "v"]) -> list[np.ndarray]:
    """Number of words, distinct ones, share of the most frequent, mean length, share in the dictionary, share over 15 letters."""
    total = np.bincount(words.owner, minlength=num_texts).astype(np.float64)
    at_least_one = np.maximum(total, 1.0)
    owner, counts = _distinct(words.owner, words.hashes)
    most = np.zeros(num_texts)
    np.maximum.at(most, owner, counts)
    latin = np.bincount(words.owner[words.is_latin], minlength=num_texts)
    found = np.searchsorted(known, words.hashes)
    is_known = words.is_latin & (known[np.minimum(found, len(known) - 1)] == words.hashes)
    lengths = np.bincount(words.owner, words.lengths, minlength=num_texts)
    return [
        np.log1p(total),
        np.where(total > 0, np.bincount(owner, minlength=num_texts) / at_least_one, 1.0),
        most / at_least_one,
        np.log1p(lengths / at_least_one),
        np.where(latin > 0, np.bincount(words.owner[is_known], minlength=num_texts) / np.maximum(latin, 1), 1.0),
        np.bincount(words.owner, words.lengths > 15, minlength=num_texts) / at_least_one,
    ]


def _distinct(owner: Int64[np.ndarray, "n"], hashes: UInt64[np.ndarray, "n"]) -> tuple[np.ndarray, np.ndarray]:
    """Owner and count of every distinct hash of every text. Hashes are folded to 40 bits beside the owner's 24."""
    key = (owner.astype(np.uint64) << np.uint64(40)) | ((hashes ^ (hashes >> np.uint64(32))) & np.uint64((1 << 40) - 1))
    distinct, counts = np.unique(key, return_counts=True)
    return (distinct >> np.uint64(40)).astype(np.int64), counts


def _ords(characters: str) -> np.ndarray:
    return np.array([ord(character) for character in characters], np.uint32)


def _kinds(raw: UInt32[np.ndarray, "p"]) -> UInt8[np.ndarray, "p"]:
    kinds = _kind_table()[np.minimum(raw, 0xFFFF)]
    if raw.size and raw.max() > 0xFFFF:
        beyond = np.where((raw >= 0x20000) & (raw < 0x40000), HAN, SYMBOL).astype(np.uint8)
        kinds = np.where(raw > 0xFFFF, beyond, kinds)
    return kinds


@cache
def _powers() -> UInt64[np.ndarray, "m"]:
    return np.cumprod(np.full(MAX_CHARACTERS, _FIRST_BASE, np.uint64))


@cache
def _kind_table() -> UInt8[np.ndarray, "65536"]:
    return np.array([_kind_of(code) for code in range(0x10000)], np.uint8)


def _kind_of(code: int) -> int:
    category = unicodedata.category(chr(code))
    if 0x3400 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF:
        return HAN
    match category[0]:
        case "L" | "M":
            return LETTER
        case "N":
            return DIGIT
        case "P":
            return PUNCTUATION
        case "Z":
            return SPACE
        case "S":
            return UNPRINTABLE if code == 0xFFFD else SYMBOL
    return SPACE if chr(code) in "\t\n\r" else UNPRINTABLE


@cache
def _lower_table() -> UInt32[np.ndarray, "65536"]:
    """Lower case where it is one character; every decimal digit becomes "0"."""
    table = np.arange(0x10000, dtype=np.uint32)
    for code in range(0x10000):
        character = chr(code)
        if character.isdecimal():
            table[code] = ord("0")
        elif character.isupper() and len(character.lower()) == 1:
            table[code] = ord(character.lower())
    return table


@cache
def _common_han() -> Bool[np.ndarray, "65536"]:
    """The 3,755 characters of GB 2312's first level (rows 16 to 55), ordered by use: text decoded wrongly leaves them."""
    common = np.zeros(0x10000, bool)
    for row in range(16, 56):
        for cell in range(1, 95):
            try:
                common[ord(bytes((0xA0 + row, 0xA0 + cell)).decode("gb2312"))] = True
            except UnicodeDecodeError:  # row 55 ends with five empty cells
                break
    return common
