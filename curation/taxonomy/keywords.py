"""Keywords in captions, by one pass of an Aho-Corasick automaton (Aho and Corasick 1975).

Text and keywords are compared after NFKC, case folding, and hyphens and line breaks turned into single spaces. A keyword that
begins or ends with a Latin letter or a digit must not touch another one there ("cat" is not in "concatenate"); Chinese has no
word boundaries, so it may stand anywhere. A match inside a longer match does not count: "熊猫" is no cat, "hot dog" no dog.
Matches that overlap without containing each other both count. English keywords also match in their regular plural.

Containment instead of leftmost-longest: it is local, so the keywords that can hide a given one are known without any text
(`KeywordMatcher.longer_keywords`), which is what lets a leaf be added without computing all others again.

Measured on one core of a shared Xeon with the shipped 403 leaves (8,100 forms): 64,000 to 125,000 captions of 7 words a
second, as the neighbours let it.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import ahocorasick

from curation.taxonomy.leaves import Leaf

_GAPS = re.compile(r"[\s\-\u2010-\u2015\u00ad_/]+")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'"})
_SIBILANTS = ("s", "x", "z", "ch", "sh")
_VOWELS = "aeiou"


class Match(NamedTuple):
    """One keyword in a normalised text."""

    start: int
    """First character."""
    end: int
    """One past the last character."""
    form: str
    """The form that matched: a keyword or its plural."""


def normalised(text: str) -> str:
    """The text as it is compared: NFKC, case-folded, single spaces for gaps and hyphens."""
    return _GAPS.sub(" ", unicodedata.normalize("NFKC", text).casefold().translate(_QUOTES)).strip()


def english_forms(keyword: str) -> tuple[str, ...]:
    """The normalised keyword and its regular plural, both spellings after -o; one form when it ends in s already."""
    form = normalised(keyword)
    if form.endswith("s") or not form[-1:].isalpha():
        return (form,)
    if form.endswith(_SIBILANTS):
        return form, f"{form}es"
    if form.endswith("y") and form[-2:-1] not in _VOWELS:
        return form, f"{form[:-1]}ies"
    if form.endswith("o") and form[-2:-1] not in _VOWELS:
        return form, f"{form}s", f"{form}es"
    return form, f"{form}s"


def forms_of(leaf: Leaf) -> Mapping[str, str]:
    """Normalised forms of a leaf's keywords, each with the keyword it stands for (itself normalised)."""
    english = {form: normalised(keyword) for keyword in leaf.keywords.en for form in english_forms(keyword)}
    return english | {normalised(keyword): normalised(keyword) for keyword in leaf.keywords.zh}


class KeywordMatcher:
    """All keywords of some leaves, ready to be looked for."""

    def __init__(self, leaves: Iterable[Leaf]) -> None:
        self._owners: dict[str, dict[str, str]] = defaultdict(dict)  # form -> leaf id -> keyword
        for leaf in leaves:
            for form, keyword in forms_of(leaf).items():
                self._owners[form][leaf.id] = keyword
        self._automaton = ahocorasick.Automaton()
        for form in self._owners:
            self._automaton.add_word(form, form)
        if self._owners:
            self._automaton.make_automaton()

    def matches(self, text: str) -> list[Match]:
        """Matches in a text that no longer match contains, in order."""
        if not self._owners:
            return []
        compared = normalised(text)
        found = [
            Match(end + 1 - len(form), end + 1, form)
            for end, form in self._automaton.iter(compared)
            if _stands_free(compared, end + 1 - len(form), end + 1)
        ]
        return found if len(found) < 2 else _outermost(found)

    def keywords_by_leaf(self, texts: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """Leaves that the texts name, each with its distinct keywords found in any of them."""
        found: dict[str, set[str]] = defaultdict(set)
        for text in texts:
            for match in self.matches(text):
                for leaf, keyword in self._owners[match.form].items():
                    found[leaf].add(keyword)
        return {leaf: frozenset(keywords) for leaf, keywords in found.items()}

    def longer_keywords(self) -> Mapping[str, tuple[str, ...]]:
        """For every leaf, the forms of any leaf that hide one of its own when they stand in a text."""
        longer: dict[str, set[str]] = defaultdict(set)
        for form in self._owners:
            for end, inner in self._automaton.iter(form):
                if inner != form and _stands_free(form, end + 1 - len(inner), end + 1):
                    for leaf in self._owners[inner]:
                        longer[leaf].add(form)
        return {leaf: tuple(sorted(forms)) for leaf, forms in longer.items()}


def _stands_free(text: str, start: int, end: int) -> bool:
    """Whether text[start:end] touches no Latin letter or digit with one of its own."""
    joins_left = start > 0 and _is_latin(text[start - 1]) and _is_latin(text[start])
    joins_right = end < len(text) and _is_latin(text[end - 1]) and _is_latin(text[end])
    return not (joins_left or joins_right)


def _is_latin(character: str) -> bool:
    """Letters below U+0250 (Basic Latin to Latin Extended-B) and digits."""
    return character < "\u0250" and character.isalnum()


def _outermost(found: list[Match]) -> list[Match]:
    """Matches that lie in no other one; of equal ones there is only one, as forms are distinct."""
    found.sort(key=lambda match: (match.start, -match.end))
    kept: list[Match] = []
    reach = -1
    for match in found:
        if match.end > reach:
            kept.append(match)
            reach = match.end
    return kept
