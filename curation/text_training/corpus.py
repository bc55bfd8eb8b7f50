"""Clean captions and scripted corruptions, in English and Chinese, told apart by kind and by split.

Clean texts are the captions we write, the taxonomy's examples and names, and scenes from patterns. Bad ones are made from those
(garbled, repetitive) or from patterns of their own (boilerplate, file names, keywords). Held-out texts are made of names and
patterns that training never saw, so what is reported there is no memory of the templates. All draws come from a seeded generator.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import yaml

from curation.captions import english
from curation.captions.facts import captions_en, captions_zh, facts_of
from curation.signals.text_quality import LEARNT_KINDS
from curation.sources.emoji import EmojiConfig, EmojiSource
from curation.sources.protocol import listed
from curation.taxonomy.loading import load_taxonomy
from curation.text_training import corruptions

NUM_PER_KIND: Mapping[str, int] = {
    "clean": 9_000, "garbled": 4_000, "repetitive": 4_000, "boilerplate": 4_000, "file_name": 4_000, "keywords": 4_000,
}  # fmt: skip
"""Training texts by kind; held-out ones are a quarter of it."""

HELDOUT_EVERY = 4
"""Every fourth pattern, and about every fourth concept and leaf, is for held-out texts only."""


class Example(NamedTuple):
    """One text with what it is."""

    text: str
    kind: str
    """One of LEARNT_KINDS."""
    language: str
    """"en" or "zh": what it was made from."""


class Names(NamedTuple):
    """Things that texts are made about, with captions of theirs."""

    en: Sequence[str]
    zh: Sequence[str]
    captions_en: Sequence[str]
    captions_zh: Sequence[str]
    examples_en: Sequence[str]
    examples_zh: Sequence[str]
    """Captions that the taxonomy gives as examples of its leaves."""


def examples(*, is_heldout: bool, seed: int = 0, scale: float = 1.0) -> list[Example]:
    """Texts of one split, shuffled, without doubles.

    Args:
        scale: share of NUM_PER_KIND.
    """
    random = Random(f"{seed}-{is_heldout}")
    names = _names(is_heldout)
    found: dict[str, Example] = {}
    for kind in LEARNT_KINDS:
        num = max(1, int(NUM_PER_KIND[kind] * scale * (0.25 if is_heldout else 1.0)))
        for index in range(num):
            language = "zh" if index % 2 else "en"
            text = _text(kind, language, names, random, is_heldout=is_heldout).strip()
            if text:
                found.setdefault(text, Example(text, kind, language))
    made = list(found.values())
    random.shuffle(made)
    return made


def _text(kind: str, language: str, names: Names, random: Random, *, is_heldout: bool) -> str:
    patterns = _Patterns(language, names, random, is_heldout=is_heldout)
    match kind:
        case "clean":
            return patterns.clean()
        case "garbled":
            return corruptions.garbled(patterns.clean(), random)
        case "repetitive":
            return corruptions.repetitive(patterns.clean(), random, is_chinese=language == "zh")
        case "boilerplate":
            return patterns.boilerplate()
        case "file_name":
            return patterns.file_name()
        case "keywords":
            return patterns.keywords()
        case unknown:
            raise AssertionError(unknown)


class _Patterns:
    """Fills patterns of one language and split with names."""

    def __init__(self, language: str, names: Names, random: Random, *, is_heldout: bool) -> None:
        phrases = _phrases()
        self._words = phrases[language]
        self._file_names = phrases["file_names"]
        self._language, self._names, self._random, self._is_heldout = language, names, random, is_heldout

    def clean(self) -> str:
        random, is_chinese = self._random, self._language == "zh"
        drawn = random.random()
        if drawn < 0.2:
            return random.choice(self._names.captions_zh if is_chinese else self._names.captions_en)
        if drawn < 0.45:
            return random.choice(self._names.examples_zh if is_chinese else self._names.examples_en)
        if drawn < 0.55:
            return self._bare()
        text = self._filled(self._pick(self._words["clean"]))
        if random.random() < 0.2:
            text = f"{text.rstrip(' .。')}{'。' if is_chinese else '. '}{self._filled(self._pick(self._words['clean']))}"
        if is_chinese:
            return text
        return text.lower() if random.random() < 0.25 else english.capitalised(text)

    def boilerplate(self) -> str:
        text = self._filled(self._pick(self._words["boilerplate"]))
        return self._random.choice((text, text, text, text.lower(), text.upper(), f"{text} »", f"[{text}]"))

    def file_name(self) -> str:
        random = self._random
        thing = random.choice(self._names.en).lower().replace(",", "")
        digest = hashlib.sha256(str(random.random()).encode()).hexdigest()
        values = {
            "d1": str(random.randrange(1, 10)), "d2": f"{random.randrange(100):02}", "d4": f"{random.randrange(10_000):04}",
            "d3": str(random.choice((150, 300, 768, 600))), "hex": digest[: random.randrange(10, 32)],
            "slug": thing.replace(" ", "-"), "snake": thing.replace(" ", "_"), "zh": random.choice(self._names.zh),
        }  # fmt: skip
        return self._pick(self._file_names).format(**values)

    def keywords(self) -> str:
        random, things = self._random, self._names.zh if self._language == "zh" else self._names.en
        thing = random.choice(things)
        tags = [self._filled(tag) for tag in random.sample(self._words["tags"], random.randrange(3, 8))]
        others = [random.choice(things) for _ in range(random.randrange(1, 6))]
        joined = "" if self._language == "zh" else " "
        stuffing = random.choice((0.0, 0.5, 1.0))
        parts = [thing, *(f"{thing}{joined}{tag}" if random.random() < stuffing else tag for tag in tags), *others]
        random.shuffle(parts)
        if random.random() < 0.3:
            return " ".join("#" + part.replace(" ", "") for part in parts)
        separators = (",", "，", " ", "|", "、") if self._language == "zh" else (", ", ",", " | ", "; ", " / ")
        return random.choice(separators).join(parts)

    def _pick(self, patterns: Sequence[str]) -> str:
        split = [
            pattern for index, pattern in enumerate(patterns) if (index % HELDOUT_EVERY == HELDOUT_EVERY - 1) == self._is_heldout
        ]
        return self._random.choice(split)

    def _filled(self, pattern: str) -> str:
        """The pattern with every slot drawn anew, also when it occurs twice."""
        fills: dict[str, Callable[[], str]] = {
            "a": self._thing, "b": self._thing, "t": self._bare, "w": self._made_up,
            "n": lambda: str(self._random.randrange(10, 100)),
        }  # fmt: skip
        for slot in ("place", "light", "view", "act"):
            fills[slot] = partial(self._random.choice, self._words[f"{slot}s"])
        pieces = pattern.split("{")
        return pieces[0] + "".join(fills[slot]() + rest for slot, _, rest in (piece.partition("}") for piece in pieces[1:]))

    def _bare(self) -> str:
        return self._random.choice(self._names.zh if self._language == "zh" else self._names.en)

    def _thing(self) -> str:
        return english.indefinite(self._random.choice(self._names.en))

    def _made_up(self) -> str:
        random = self._random
        if self._language == "zh":
            return "".join(random.choice(name) for name in random.sample(self._names.zh, 2))
        syllables = ("bra", "del", "kon", "mar", "ti", "ros", "sen", "vel", "ha", "lin", "dor", "pe", "gar", "wil", "es", "tan")
        return "".join(random.sample(syllables, random.randrange(2, 4))).capitalize()


@cache
def _names(is_heldout: bool) -> Names:
    """Names and captions of the split: of the embedded corpus by concept, of the taxonomy by leaf."""
    rows = listed(EmojiSource(EmojiConfig(styles=("flat",)), Path())).to_pylist()
    facts = [facts_of(row) for row in rows if _is_heldout(row["concept"]) == is_heldout]
    things = [one for one in facts if not one.tone]
    leaves = [leaf for leaf in load_taxonomy().leaves.values() if _is_heldout(leaf.id) == is_heldout]
    return Names(
        en=sorted({one.name_en for one in things} | {word for leaf in leaves for word in leaf.keywords.en}),
        zh=sorted({one.name_zh for one in things if one.name_zh} | {word for leaf in leaves for word in leaf.keywords.zh}),
        captions_en=[text for one in facts for text in captions_en(one)],
        captions_zh=[text for one in facts for text in captions_zh(one) if text],
        examples_en=[text for leaf in leaves for text in (*leaf.examples.en, leaf.definition)],
        examples_zh=[text for leaf in leaves for text in leaf.examples.zh],
    )


def _is_heldout(name: str) -> bool:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % HELDOUT_EVERY == HELDOUT_EVERY - 1


@cache
def _phrases() -> dict:
    return yaml.safe_load(Path(__file__).with_name("phrases.yaml").read_text(encoding="utf-8"))
