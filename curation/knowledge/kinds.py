"""The generators of knowledge pictures: a closed set."""

from typing import Literal, get_args

from curation.knowledge import (
    charts,
    chemistry,
    composed_text,
    elements,
    formulas,
    layouts,
    maps,
    rendered_text,
)
from curation.knowledge.sample import KnowledgeSample

KnowledgeKind = Literal["formulas", "charts", "chemistry", "elements", "maps", "rendered_text", "composed_text", "layouts"]
KINDS: tuple[KnowledgeKind, ...] = get_args(KnowledgeKind)
TEXT_KINDS: tuple[KnowledgeKind, ...] = ("rendered_text", "composed_text", "layouts")
"""Kinds whose every element is text, which OCR can read back."""


def draw(kind: KnowledgeKind, seed: int, index: int) -> KnowledgeSample:
    """The picture number `index` of a kind; the same for the same arguments on every machine with the same packages.

    CPU time on one thread, ms a picture (mean of 16 or more, all sizes): formulas 61, charts 104, chemistry 19, elements 6,
    maps 12, rendered_text 22, composed_text 33, layouts 20.
    """
    match kind:
        case "formulas":
            return formulas.draw(seed, index)
        case "charts":
            return charts.draw(seed, index)
        case "chemistry":
            return chemistry.draw(seed, index)
        case "elements":
            return elements.draw(seed, index)
        case "maps":
            return maps.draw(seed, index)
        case "rendered_text":
            return rendered_text.draw(seed, index)
        case "composed_text":
            return composed_text.draw(seed, index)
        case "layouts":
            return layouts.draw(seed, index)
