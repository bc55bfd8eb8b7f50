"""What every generator of knowledge pictures gives: pixels, captions, truth and where it all comes from."""

import io
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from pydantic import BaseModel

from curation.knowledge.geometry import Box, Px

ElementKind = Literal["text", "formula", "plot", "structure", "card", "marker", "region"]


class Element(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One thing drawn in a picture."""

    kind: ElementKind
    text: str
    """Exact text, LaTeX or SMILES of what is drawn; "" for shapes."""
    box: Box


class Fact(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One machine-readable statement that the picture shows."""

    name: str
    value: str | int | float


class Truth(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is drawn where; the ground truth for captions, read-back and evaluation."""

    elements: tuple[Element, ...]
    facts: tuple[Fact, ...] = ()

    def fact(self, name: str) -> str | int | float:
        """The value of a fact; `KeyError` when the picture states none of that name."""
        return {fact.name: fact.value for fact in self.facts}[name]


class Captions(NamedTuple):
    """One text a level of `curation.tables.CAPTION_LEVELS`."""

    short: str
    medium: str
    long: str


class Load(NamedTuple):
    """What makes a picture hard to draw and to read."""

    num_elements: int
    num_characters: int
    symbol_density: float
    """Characters per 10,000 pixels."""
    smallest_text_px: Px
    """Height of the smallest text line, in pixels; 0 without text."""
    width_px: int
    height_px: int


class KnowledgeSample(NamedTuple):
    """One picture with everything known of it."""

    id: str
    pixels: UInt8[np.ndarray, "y x 3"]
    captions_en: Captions
    captions_zh: Captions
    truth: Truth
    load: Load
    concept: str
    """What is shown, for splits by concept: never in two splits."""
    leaf: str
    """Hint of the taxonomy leaf, "<domain>/<leaf>"."""
    licence: str
    attribution: str

    def png(self) -> bytes:
        """The picture as PNG bytes, the same for the same pixels."""
        return png_bytes(self.pixels)


def png_bytes(pixels: UInt8[np.ndarray, "y x 3"]) -> bytes:
    """RGB pixels as PNG; level 6 without search for filters, which costs four times the time for a tenth of the size."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def load_of(elements: tuple[Element, ...], *, width_px: int, height_px: int, smallest_text_px: Px = 0) -> Load:
    """The load of a picture from its elements; text height is the lowest box of a text unless it is given."""
    num_characters = sum(len("".join(element.text.split())) for element in elements)
    heights = [element.box[3] - element.box[1] for element in elements if element.kind == "text"]
    return Load(
        num_elements=len(elements),
        num_characters=num_characters,
        symbol_density=num_characters / (width_px * height_px / 1e4),
        smallest_text_px=smallest_text_px or min(heights, default=0.0),
        width_px=width_px,
        height_px=height_px,
    )
