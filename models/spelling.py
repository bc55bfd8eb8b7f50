"""How texts are written before any encoder reads them: one form for what looks alike."""

import re
import unicodedata

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")


def normalised(text: str) -> str:
    """The text in NFC (Unicode Standard Annex 15), runs of white space as one blank, none around it.

    Halves of surrogate pairs, which JSON can carry but UTF-8 cannot, become question marks.
    """
    return unicodedata.normalize("NFC", " ".join(text.encode("utf-8", "replace").decode("utf-8").split()))


def has_han(text: str) -> bool:
    """Whether there is a Chinese character in it: what tells Chinese texts from English ones here."""
    return _HAN.search(text) is not None
