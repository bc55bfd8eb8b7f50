"""Ways in which a clean text goes bad: wrong decoding, keyboards, recognisers, loops."""

from collections.abc import Callable, Sequence
from random import Random

_ENTITIES = ("&nbsp;", "&amp;", "&#8217;", "&quot;", "<br/>", "&lt;p&gt;", "%20", "\\u00e9", "\\n", "</span>")
_NOISE = "~^*|<>{}[]\\/=+_§¤¬¦°±×÷"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def garbled(text: str, random: Random) -> str:
    """The text after one of the ways in which encodings, keyboards and recognisers spoil it."""
    ways: Sequence[Callable[[str, Random], str]] = (_mojibake, _mojibake, _mashed, _misread, _replaced, _entities, _scrambled)
    spoilt = random.choice(ways)(text, random)
    return spoilt if spoilt != text else _replaced(text, random)


def repetitive(text: str, random: Random, *, is_chinese: bool) -> str:
    """A text that got into a loop: a word, a phrase, a sentence or a character again and again."""
    times = random.randrange(3, 12)
    units = list(text) if is_chinese else text.split()
    place, joined = random.randrange(len(units)), "" if is_chinese else " "
    way = random.randrange(4)
    if way == 0:
        return joined.join([*units[: place + 1], *units[place : place + 1] * (times + 2)])
    if way == 1:
        phrase = units[place : place + random.randrange(2, 6)]
        return joined.join([*units[:place], *(phrase * (times + (2 if len(phrase) == 1 else 0)))])
    if way == 2:
        looped = (text if text.endswith(("。", ".")) else text + ("，" if is_chinese else ", ")) + joined
        return (looped * times)[: len(looped) * times - random.randrange(len(looped) // 2 + 1)]
    character = random.choice(text.replace(" ", "") or "a")
    return f"{text[: random.randrange(len(text) + 1)]}{character * random.randrange(8, 40)}"


def _mojibake(text: str, random: Random) -> str:
    """Decoded with another code page than it was written in; English gets the accents and quotes that show it."""
    if text.isascii():
        accented = {"a": "á", "e": "é", "o": "ö", "u": "ü", "i": "í", "'": "’", '"': "“", "-": "—", "c": "ç", "n": "ñ"}
        text = "".join(accented.get(character, character) if random.random() < 0.5 else character for character in text)
        return text.encode().decode("cp1252", "replace")
    written, read = random.choice(
        (("utf-8", "cp1252"), ("utf-8", "latin-1"), ("utf-8", "gbk"), ("gbk", "latin-1"), ("gbk", "big5"))
    )
    return text.encode(written, "replace").decode(read, "replace")


def _mashed(text: str, random: Random) -> str:
    """Hands on the keyboard."""
    words = ["".join(random.choices(_LETTERS, k=random.randrange(3, 12))) for _ in text[: random.randrange(1, 7)]]
    return " ".join(words)


def _misread(text: str, random: Random) -> str:
    """A recogniser's guess: a third of the characters replaced."""
    pool = (
        _NOISE + "0123456789lI1|" + _LETTERS
        if text.isascii()
        else _NOISE + "".join(chr(random.randrange(0x4E00, 0x9FA5)) for _ in range(20))
    )
    share = random.uniform(0.3, 0.6)
    return "".join(random.choice(pool) if random.random() < share else character for character in text)


def _replaced(text: str, random: Random) -> str:
    """Characters that could not be decoded."""
    share = random.uniform(0.15, 0.6)
    sign = random.choice(("\ufffd", "?", "\u25a1", "\x1a", "锟斤拷"))
    return "".join(sign if random.random() < share else character for character in text) + sign


def _entities(text: str, random: Random) -> str:
    """Markup and escapes left in."""
    units = text.split(" ") if " " in text else [text[index : index + 3] for index in range(0, len(text), 3)]
    return "".join(unit + random.choice(_ENTITIES) for unit in units)


def _scrambled(text: str, random: Random) -> str:
    """Letters of every word, or all Chinese characters, in random order, cut into wrong pieces."""
    if not text.isascii():
        characters = [chr(random.randrange(0x4E00, 0x9FA5)) if random.random() < 0.5 else character for character in text]
        random.shuffle(characters)
        return "".join(characters)
    letters = list(text.replace(" ", "").lower())
    random.shuffle(letters)
    return "".join(letter + (" " if random.random() < 0.2 else "") for letter in letters)
