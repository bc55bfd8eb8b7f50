"""Whether a drawn text can be read: what OCR reads in the box of each text against what was meant to stand there.

Comparing text by text, at the place where it was drawn, does not depend on reading order, so tables and slides are judged as
fairly as single words. Distance is Levenshtein's over the length of the longer text, after both are reduced to what cannot be
confused: compatibility forms (NFKC), no blanks, no case, one kind of quotation mark and dash.
"""

import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple

from curation.knowledge.geometry import Box, Px
from curation.knowledge.sample import Element, KnowledgeSample
from models.perception.ocr import ReadLine, TextReader

ReadReason = Literal["no_text", "unreadable_text", "wrong_text"]
FARTHEST_KEPT = 0.05
"""Largest share of characters that may be read otherwise."""
NOTHING_READ = 0.9
"""From this distance on a text counts as not read at all."""

_ALIKE = str.maketrans({
    "“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "−": "-", "·": ".", "•": "", "，": ",", "。": ".", "、": ",", "：": ":", "；": ";",
})  # fmt: skip


class ReadBack(NamedTuple):
    """The verdict on one picture."""

    is_kept: bool
    reason: ReadReason | Literal[""]
    """"" when kept."""
    distance: float
    """Share of all characters read otherwise, in [0, 1]."""
    worst: str
    """The text that was read worst, "" when all were exact."""
    worst_read: str


def read_back(sample: KnowledgeSample, reader: TextReader, *, farthest_kept: float = FARTHEST_KEPT) -> ReadBack:
    """Reads the picture and compares it with its truth."""
    return judged(sample.truth.elements, reader.read(sample.pixels), farthest_kept=farthest_kept)


def judged(elements: Sequence[Element], lines: Sequence[ReadLine], *, farthest_kept: float = FARTHEST_KEPT) -> ReadBack:
    """The verdict from elements and what was read; pictures without text elements are refused by "no_text"."""
    texts = [element for element in elements if element.kind == "text"]
    if not texts:
        return ReadBack(is_kept=False, reason="no_text", distance=1.0, worst="", worst_read="")
    pairs = [(element.text, read_in(element, lines)) for element in texts]
    errors = [edits(reduced(meant), reduced(read)) for meant, read in pairs]
    lengths = [max(len(reduced(meant)), len(reduced(read)), 1) for meant, read in pairs]
    distance = sum(errors) / sum(lengths)
    place = max(range(len(pairs)), key=lambda at: errors[at] / lengths[at])
    worst, worst_read = pairs[place] if errors[place] else ("", "")
    reason: ReadReason | Literal[""] = ""
    if distance > farthest_kept:
        reason = "unreadable_text" if distance >= NOTHING_READ else "wrong_text"
    return ReadBack(is_kept=not reason, reason=reason, distance=distance, worst=worst, worst_read=worst_read)


def read_in(element: Element, lines: Sequence[ReadLine]) -> str:
    """The text of the lines whose middle lies in the element's box, row by row."""
    left, top, right, bottom = element.box
    slack = (bottom - top) * 0.15 + 2
    inside = [line for line in lines if _is_within(line, (left - slack, top - slack, right + slack, bottom + slack))]
    rows: list[list[ReadLine]] = []
    for line in sorted(inside, key=lambda line: _middle(line)[1]):
        if rows and _middle(line)[1] - _middle(rows[-1][0])[1] < (line.box[3] - line.box[1]) / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    return " ".join(line.text for row in rows for line in sorted(row, key=lambda line: line.box[0]))


def reduced(text: str) -> str:
    """A text without what cannot be told apart by eye: compatibility forms, blanks, case, kinds of quotes and dashes."""
    plain = unicodedata.normalize("NFKC", text.translate(_ALIKE)).casefold().translate(_ALIKE)
    return "".join(plain.split())


def edits(first: str, second: str) -> int:
    """Levenshtein distance: insertions, deletions and replacements of characters."""
    previous = list(range(len(second) + 1))
    for row, character in enumerate(first, start=1):
        current = [row]
        for column, other in enumerate(second, start=1):
            current.append(min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (character != other)))
        previous = current
    return previous[-1]


def _is_within(line: ReadLine, box: Box) -> bool:
    x, y = _middle(line)
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _middle(line: ReadLine) -> tuple[Px, Px]:
    return ((line.box[0] + line.box[2]) / 2, (line.box[1] + line.box[3]) / 2)
