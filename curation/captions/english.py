"""Just enough English grammar for noun phrases: articles, plurals, things that are not counted.

Written out instead of taken from a grammar package because names are short noun phrases from a known dictionary, and a wrong
article in a training caption is read by a model hundreds of times.
"""

import re
from collections.abc import Mapping

_HEAD_ENDS = re.compile(
    r" (?:of|with|on|in|to|from|behind|at|without|under|for|over"
    r"|showing|wearing|holding|facing|pouring|pointing|lifting|savoring|gesturing) "
)
_SINGULAR_S = re.compile(r"(?:ss|us|is|rhinoceros|canvas|gas|lens|atlas|Claus|Christmas)$")
_PLURALS = frozenset({
    "people", "men", "women", "children", "dice", "feet", "mice", "geese", "scissors", "glasses", "sunglasses", "goggles",
    "jeans", "briefs", "shorts", "skis",
})  # fmt: skip
_UNCOUNTED = frozenset({
    "bread", "meat", "bacon", "popcorn", "butter", "broccoli", "garlic", "sushi", "sake", "rice", "spaghetti", "food", "seafood",
    "salad", "falafel", "corn", "ice", "coral", "water", "milk", "coffee", "tea", "fire", "fog", "lightning", "soap", "wood",
    "yarn", "thread", "money", "mail", "poo", "dna", "DNA", "hair", "music", "equipment", "clothes", "clothing", "laundry",
    "tennis", "badminton", "bowling", "camping", "racing", "hockey", "lacrosse", "fishing", "cooking", "construction", "infinity",
    "Earth",
    "Aries", "Taurus", "Gemini", "Cancer", "Leo", "Virgo", "Libra", "Scorpio", "Sagittarius", "Capricorn", "Aquarius", "Pisces",
    "Ophiuchus",
})  # fmt: skip
_IRREGULAR: Mapping[str, str] = {
    "mouse": "mice", "goose": "geese", "ox": "oxen", "sheep": "sheep", "fish": "fish", "deer": "deer", "bison": "bison",
    "shrimp": "shrimp", "moose": "moose", "leaf": "leaves", "wolf": "wolves", "loaf": "loaves", "knife": "knives",
    "potato": "potatoes", "tomato": "tomatoes", "mango": "mangoes", "mosquito": "mosquitoes", "buffalo": "buffaloes",
    "cactus": "cactuses", "man": "men", "woman": "women", "child": "children", "foot": "feet", "tooth": "teeth",
    "squid": "squid", "person": "people", "scissors": "scissors", "lotus": "lotuses",
}  # fmt: skip
_CONSONANT_SOUND = re.compile(r"^(?:one\b|one-|once|eu|U\.|uni|ewe|use|uti|uku)", re.IGNORECASE)
_VOWEL_SOUND = re.compile(r"^(?:[aeiou]|hour|honest|heir|x-ray|8|11\b|18\b)", re.IGNORECASE)
_SPOKEN_AS_WORDS = frozenset({"BACK", "COOL", "END", "FREE", "NEW", "ON", "SOON", "TOP", "UP", "NO", "ZZZ"})
_MALE = re.compile(
    r"^man (?=artist|astronaut|construction|cook|detective|elf|factory|fairy|farmer|firefighter|genie|guard|health|judge|mage"
    r"|mechanic|office|pilot|police|scientist|singer|student|superhero|supervillain|teacher|technologist|vampire|zombie)"
)
_SENTENCE = re.compile(r"^(?:a|an|the|this|these|there) |[.?]$", re.IGNORECASE)
_DEFINITE = re.compile(r"^(?:flag of |map of |Statue of |Tokyo tower|milky way|kaaba)")
_PROPER = re.compile(r"^Mount |Claus\b")


def spoken(name: str) -> str:
    """A name as it is said: "male cook" for "man cook"; the row keeps the word by which pictures of men and women are paired."""
    return _MALE.sub("male ", name)


def is_sentence(text: str) -> bool:
    """Whether a text is a finished caption ("A dog on the beach.") and no noun phrase to build one from."""
    return bool(_SENTENCE.search(text)) or len(text.split()) > 9


def head_of(name: str) -> str:
    """The noun that decides number: "eggs" in "nest eggs", "nest" in "nest with eggs"."""
    return _HEAD_ENDS.split(f"{name} ", maxsplit=1)[0].split(",")[0].split()[-1]


def is_plural(name: str) -> bool:
    """Whether a noun phrase names several things."""
    head = head_of(name)
    if head in _PLURALS or name.split()[0] in ("people", "men", "women"):
        return True
    return head.endswith("s") and not head.endswith("’s") and not _SINGULAR_S.search(head)


def is_countable(name: str) -> bool:
    """Whether one can ask for three of it: the name is for a single thing that is counted, and has a plural."""
    return not (is_sentence(name) or is_plural(name) or head_of(name) in _UNCOUNTED or _PROPER.search(name) or "," in name)


def plural(name: str) -> str:
    """The name for several of the thing: "cherry tomatoes", "mice", "wolf faces"; a countable name is expected."""
    head = head_of(name)
    several = _IRREGULAR.get(head) or _regular_plural(head)
    return name.replace(head, several, 1) if name.startswith(head) else f" {name}".replace(f" {head}", f" {several}", 1)[1:]


def _regular_plural(noun: str) -> str:
    if re.search(r"(?:s|x|z|ch|sh)$", noun):
        return f"{noun}es"
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def article(phrase: str) -> str:
    """The article "a" or "an", by the sound the phrase begins with."""
    if _CONSONANT_SOUND.search(phrase):
        return "a"
    first = phrase.split()[0]
    if first.isalpha() and first.isupper() and first not in _SPOKEN_AS_WORDS:  # letters said one by one
        return "an" if first[0] in "AEFHILMNORSX" else "a"
    return "an" if _VOWEL_SOUND.search(phrase) else "a"


def indefinite(name: str, *, adjective: str = "") -> str:
    """The name as the thing a picture shows: "a red apple", "an outlined owl", "grapes", "the flag of France"."""
    phrase = f"{adjective} {name}".strip()
    if _DEFINITE.search(name):
        return f"the {phrase}"
    if is_plural(name) or head_of(name) in _UNCOUNTED or _PROPER.search(name):
        return phrase
    return f"{article(phrase)} {phrase}"


def definite(name: str) -> str:
    """The name as a thing already seen: "the red apple"; "the picture" for a whole caption."""
    return "the picture" if is_sentence(name) else f"the {name}"


def capitalised(text: str) -> str:
    """First letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def lowered(text: str) -> str:
    """First letter in lower case when the text begins with an article: for a caption inside a sentence."""
    return text[:1].lower() + text[1:] if text.split(" ")[0] in ("A", "An", "The", "This", "These", "There") else text
