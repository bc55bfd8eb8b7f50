"""Is a text a caption? A closed list of faults, found by pure functions, in English and Chinese.

Quoted words are left out of every check but length and loops: a picture may show a sign that says "Sorry, I cannot", or an
address. What is only a habit of style ("The image shows ...") is measured by `opens_with_boilerplate`, not refused.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from curation.signals.language import SHORT_LETTERS, language_of
from curation.signals.language import VERSION as LANGUAGE_VERSION

FAULTS: tuple[str, ...] = (
    "empty",           # nothing visible
    "broken_json",     # the answer lacks the fields that were asked for, or their types are wrong
    "non_printable",   # control, private or undecodable characters
    "refusing",        # "Sorry, I cannot ...", "作为AI语言模型"
    "leaking",         # words of the prompt, braces, labels, special tokens, file names, addresses
    "wrong_language",
    "repetitive",      # runs in a loop
    "too_short",       # for its level
    "too_long",
)  # fmt: skip
"""Every reason for which a caption is refused, in the order in which they are looked for."""

LENGTHS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "en": {"short": (1, 24), "medium": (2, 60), "long": (6, 400)},
    "zh": {"short": (1, 45), "medium": (4, 120), "long": (10, 900)},
}
"""Fewest and most words (English) or characters without spaces (Chinese) by language and level."""

SURE_OF_LANGUAGE = 0.97
"""From this confidence on, an English caption taken for another language is refused, if it is no short one: names in it ("flag of
Sint Maarten") look like anything."""

VERSION: str = hashlib.sha256(Path(__file__).read_bytes() + LANGUAGE_VERSION.encode()).hexdigest()[:12]
"""Digest of what decides a fault; captions checked under another one are to be checked again."""

_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|‘[^’]{2,}’|「[^」]*」|『[^』]*』|《[^》]*》")
_REFUSING_EN = re.compile(
    r"\b(?:I(?:['’]m| am) (?:sorry|unable|not able)|I (?:can(?:no|['’])?t|cannot|could not|am afraid|do not see|don['’]t see)\b"
    r"|as an AI\b|I apologi[sz]e|sorry, (?:but )?I\b"
    r"|unable to (?:describe|see|view|assist|provide|process)|no image (?:was|is) )",
    re.IGNORECASE,
)
_REFUSING_ZH = re.compile(
    r"作为(?:一个|一名|一种)?(?:AI|人工智能|语言模型)|我(?:无法|不能|没办法|没有办法|看不到)|(?:很抱歉|抱歉|对不起)，?我|无法(?:查看|描述|识别|提供)"
)
_LEAKING = re.compile(
    r"[{}]|```|</?[a-z_|]+>|<\|[^|>]*\|>|\\[nu\"]|\"\w+\"\s*:"
    r"|https?://|www\.|\b[\w-]+\.(?:com|net|org|cn|io)\b"
    r"|[\w-]+\.(?:jpe?g|png|gif|webp|bmp|tiff?|heic|svg|pdf)\b",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^\s*(?:\*+|#+|short|medium|long|caption|description|assistant|answer|output|简短|中等|详细|标题|描述|回答|答)\s*[:：*]",
    re.IGNORECASE,
)
_BOILERPLATE = re.compile(
    r"^(?:(?:the|this) (?:image|picture|photo|photograph|illustration) "
    r"(?:shows|depicts|features|displays|is of|captures|contains)"
    r"|in (?:the|this) (?:image|picture|photo)|an? (?:image|picture) (?:of|showing)"
    r"|(?:这|该|本)?(?:张|幅)?(?:图片|图像|图中|照片|画面)(?:展示|显示|描绘|呈现|中)?)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_HAN = re.compile(r"[\u3400-\u9fff]")
_SHARED_WORDS_EN, _SHARED_CHARACTERS_ZH = 7, 14
_LOOP_UNITS = 12
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn"})


def tidy(text: str) -> str:
    """The text with runs of white space made one space, without quotes around the whole."""
    joined = " ".join(text.split())
    for opening, closing in (('"', '"'), ("“", "”"), ("「", "」")):
        if len(joined) > 2 and joined[0] == opening and joined[-1] == closing and joined.count(opening) <= 2:
            joined = joined[1:-1].strip()
    return joined


def faults_of(text: str, *, level: str, language: str, prompt: str = "") -> tuple[str, ...]:
    """All of FAULTS that a tidied text has, "broken_json" aside (its answer never got this far); () for a good caption.

    Args:
        text: as `tidy` gives it.
        level: one of `tables.CAPTION_LEVELS`.
        language: "en" or "zh": what it should be in.
        prompt: what was asked, "" when no model was.
    """
    if not text.strip():
        return ("empty",)
    units = _units(text, language)
    bare = _QUOTED.sub(" ", text)
    fewest, most = LENGTHS[language][level]
    found = {
        "non_printable": any(_is_unprintable(character) for character in text),
        "refusing": bool(_REFUSING_EN.search(bare) or _REFUSING_ZH.search(bare)),
        "leaking": bool(_LEAKING.search(bare) or _LABEL.search(text)) or _repeats_prompt(bare, prompt, language),
        "wrong_language": _is_other_language(text, language),
        "repetitive": _is_looping(units),
        "too_short": len(units) < fewest,
        "too_long": len(units) > most,
    }
    return tuple(fault for fault in FAULTS if found.get(fault))


def opens_with_boilerplate(text: str) -> bool:
    """Whether a caption begins with "The image shows", "图中" or the like: true, but no part of what a person would ask for."""
    return bool(_BOILERPLATE.search(text))


def _units(text: str, language: str) -> list[str]:
    if language == "zh":
        return [character for character in text if not character.isspace()]
    return [word.lower() for word in _WORD.findall(text)]


def _is_unprintable(character: str) -> bool:
    return character == "\ufffd" or unicodedata.category(character) in _FORBIDDEN_CATEGORIES


def _is_other_language(text: str, language: str) -> bool:
    """Judged by what stands outside quotes."""
    found = language_of(_QUOTED.sub(" ", text))
    if found.code == "none":
        return not any(character.isalnum() for character in text)
    if language == "zh" or found.code == "zh":
        return found.code != language
    is_long_enough = sum(map(str.isalpha, text)) >= SHORT_LETTERS
    return found.code != "en" and is_long_enough and found.confidence >= SURE_OF_LANGUAGE


def _is_looping(units: Sequence[str]) -> bool:
    """Whether up to `_LOOP_UNITS` units come again at once: one unit five times, two four times, more of them three times."""
    for length in range(1, min(_LOOP_UNITS, len(units) // 3) + 1):
        needed = {1: 5, 2: 4}.get(length, 3)
        run = 0
        for ours, theirs in zip(units, units[length:], strict=False):
            run = run + 1 if ours == theirs else 0
            if run >= length * (needed - 1):
                return True
    sentences = [part.strip() for part in re.split(r"[.!?。！？；;]", "".join(units))]
    return any(ours and ours == theirs for ours, theirs in pairwise(sentences))


def _repeats_prompt(bare: str, prompt: str, language: str) -> bool:
    """Whether a stretch of the prompt comes back: seven words, or fourteen Chinese characters."""
    asked, written = _units(prompt, language), _units(bare, language)
    length = _SHARED_CHARACTERS_ZH if language == "zh" else _SHARED_WORDS_EN
    stretches = {tuple(asked[start : start + length]) for start in range(len(asked) - length + 1)}
    return any(tuple(written[start : start + length]) in stretches for start in range(len(written) - length + 1))
