"""Texts to render: signs, posters, slides, interface words and paragraphs, from ``phrases.yaml`` and facts of the elements.

All of it is written for this purpose or states facts, so no text belongs to anybody.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from string import Formatter
from typing import Literal

import yaml

from curation.captions import english
from curation.knowledge.elements import periodic_table
from curation.knowledge.fonts import Font, Language, missing_glyphs

PhraseKind = Literal["sign", "poster", "poster_line", "slide_title", "bullet", "label", "button", "sentence"]
MOST_TRIES = 50

_NUMBERS: Mapping[str, Sequence[int]] = {
    "n": range(2, 10), "tens": range(20, 90, 10), "many": range(12, 980), "day": range(1, 29), "hour": range(6, 12),
}  # fmt: skip


def phrase(stream: Random, language: Language, kind: PhraseKind) -> str:
    """One text of a kind."""
    text = _filled(stream, language, stream.choice(_phrases()[language][kind]))
    return english.capitalised(text) if language == "en" else text


def distinct_phrases(stream: Random, language: Language, kind: PhraseKind, count: int) -> list[str]:
    """`count` different texts of a kind that has fixed ones, such as labels."""
    return [_filled(stream, language, text) for text in stream.sample(list(_phrases()[language][kind]), count)]


def paragraph(stream: Random, language: Language, num_sentences: int) -> str:
    """Sentences about this and that, one in four about a chemical element."""
    sentences = [
        _element_fact(stream, language) if stream.random() < 0.25 else phrase(stream, language, "sentence")
        for _ in range(num_sentences)
    ]
    return (" " if language == "en" else "").join(sentences)


def writable(font: Font, write: Callable[[], str]) -> tuple[str, int]:
    """The first text of `write` that the font has every glyph for, and how many whole texts were dropped before it.

    Raises:
        ValueError: none out of `MOST_TRIES` can be written in this font.
    """
    missing = ""
    for num_dropped in range(MOST_TRIES):
        text = write()
        missing = missing_glyphs(font, text)
        if not missing:
            return text, num_dropped
    raise ValueError(f"{font.family} lacks {missing!r} for each of {MOST_TRIES} texts; choose a font of the text's language")


def _element_fact(stream: Random, language: Language) -> str:
    element = stream.choice(periodic_table()[:103])
    if language == "en":
        return f"{element.name_en} has the symbol {element.symbol} and the atomic number {element.number}."
    return f"{element.name_zh}的元素符号是{element.symbol}，原子序数是{element.number}。"


def _filled(stream: Random, language: Language, template: str) -> str:
    parts: list[str] = []
    for text, slot, _, _ in Formatter().parse(template):
        parts.append(text)
        if slot is not None:
            parts.append(_slot(stream, language, slot))
    return "".join(parts)


def _slot(stream: Random, language: Language, slot: str) -> str:
    return str(stream.choice(_NUMBERS[slot])) if slot in _NUMBERS else stream.choice(_phrases()[language][slot])


@cache
def _phrases() -> Mapping[str, Mapping[str, Sequence[str]]]:
    return yaml.safe_load(Path(__file__).with_name("phrases.yaml").read_text(encoding="utf-8"))
