"""Text by itself: words and paragraphs in one or two fonts on a surface ("pure rendering" of Qwen-Image, arXiv:2508.02324).

A paragraph with a glyph that its font lacks is dropped whole, never drawn with a hole. `composed_text` puts text on things, `layouts` into slides, cards and tables.
"""

from random import Random
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from curation.captions.vocabulary import Words
from curation.knowledge.draws import draws
from curation.knowledge.fonts import FONT_LICENCES, Font, Language, Role, pick_font
from curation.knowledge.geometry import Px
from curation.knowledge.palette import Colour
from curation.knowledge.paper import Paper, PaperKind, paper
from curation.knowledge.phrases import paragraph, phrase, writable
from curation.knowledge.sample import Captions, Element, Fact, KnowledgeSample, Truth, load_of
from curation.knowledge.typeset import Align, Block, bounds, draw_block, fitted

Shape = Literal["words", "paragraph", "headed"]
SIZES_PX: tuple[tuple[int, int], ...] = ((256, 128), (320, 320), (512, 256), (512, 512), (640, 480), (480, 640), (768, 768))
_SURFACES: tuple[PaperKind, ...] = ("plain", "plain", "plain", "grained", "graded", "chalkboard", "blueprint")
_PLACES: dict[str, Words] = {
    "top": Words("at the top", "上方"), "middle": Words("in the middle", "中央"), "bottom": Words("at the bottom", "下方"),
}  # fmt: skip
_ALIGNS: dict[Align, Words] = {
    "left": Words("aligned left", "左对齐"), "centre": Words("centred", "居中"), "right": Words("aligned right", "右对齐"),
}  # fmt: skip


class _Piece(NamedTuple):
    """One text with its look; `place` is where it stands on the page."""

    text: str
    font: Font
    ink: Colour
    align: Align
    place: str
    block: Block


def draw(seed: int, index: int) -> KnowledgeSample:
    """One picture of words, of a paragraph, or of a heading over a paragraph."""
    stream = draws("rendered_text", seed, index)
    shape: Shape = stream.choice(("words", "words", "paragraph", "headed"))
    language: Language = stream.choice(("en", "zh"))
    size_px = stream.choice(SIZES_PX if shape == "words" else SIZES_PX[1:])
    surface = paper(stream, stream.choice(_SURFACES), size_px)
    pieces, num_dropped = _pieces(stream, shape, language, surface)
    image = surface.image.copy()
    elements = _drawn(image, pieces)
    sizes = [piece.block.size_px for piece in pieces]
    return KnowledgeSample(
        id=f"rendered_text/{seed}/{index}",
        pixels=np.asarray(image),
        captions_en=_captions_en(pieces, surface),
        captions_zh=_captions_zh(pieces, surface),
        truth=Truth(elements=elements, facts=_facts(pieces, language, num_dropped)),
        load=load_of(elements, width_px=image.width, height_px=image.height, smallest_text_px=min(sizes)),
        concept=f"text/{' '.join(piece.text for piece in pieces)}",
        leaf=_leaf(shape, language),
        licence="CC0-1.0",
        attribution=f"text by Seedbed; {FONT_LICENCES}",
    )


def _pieces(stream: Random, shape: Shape, language: Language, surface: Paper) -> tuple[list[_Piece], int]:
    width, height = surface.image.size
    roles: tuple[Role, ...] = ("body", "display", "script", "code") if shape == "words" else ("body", "script")
    font = pick_font(stream, language, *roles)
    ink = stream.choice(surface.inks)
    fit = (width * 0.84, height * 0.8)
    if shape == "words":
        text, dropped = writable(font, lambda: phrase(stream, language, stream.choice(("sign", "poster"))))
        align: Align = "centre"
        block = fitted(text, font, (fit[0] * stream.uniform(0.6, 1.0), fit[1]), largest_px=height // 3)
        place = stream.choice(tuple(_PLACES))
        return [_placed(text, font, ink, align, place, block)], dropped
    heading: list[_Piece] = []
    dropped_heading = 0
    if shape == "headed":
        title_font = pick_font(stream, language, "display", "script")
        title, dropped_heading = writable(title_font, lambda: phrase(stream, language, "poster"))
        title_block = fitted(title, title_font, (fit[0], height * 0.2), largest_px=height // 8)
        heading = [_placed(title, title_font, stream.choice(surface.inks), "centre", "top", title_block)]
    text, dropped = writable(font, lambda: paragraph(stream, language, stream.choice((1, 2, 3, 4, 6))))
    body_fit = (fit[0], height * (0.6 if heading else 0.84))
    block = fitted(text, font, body_fit, largest_px=max(14, height // stream.choice((9, 14, 20))))
    align = stream.choice(("left", "left", "centre", "right"))
    return [*heading, _placed(text, font, ink, align, "middle", block)], dropped + dropped_heading


def _placed(text: str, font: Font, ink: Colour, align: Align, place: str, block: Block | None) -> _Piece:
    assert block is not None, f"{text!r} does not fit its page at the smallest size; the page sizes and texts must match"
    return _Piece(text, font, ink, align, place, block)


def _drawn(image: Image.Image, pieces: list[_Piece]) -> tuple[Element, ...]:
    elements: list[Element] = []
    margin = image.width * 0.08
    top = image.height * 0.08
    for piece in pieces:
        room = image.height * 0.92 - top - piece.block.height_px
        upper = top + {"top": 0.0, "middle": room / 2, "bottom": room}[piece.place]
        lines = draw_block(image, piece.block, (margin, upper, image.width - 2 * margin), ink=piece.ink.rgb, align=piece.align)
        elements.append(Element(kind="text", text=piece.text, box=bounds(lines)))
        top = elements[-1].box[3] + image.height * 0.03
    return tuple(elements)


def _leaf(shape: Shape, language: Language) -> str:
    if shape != "words":
        return "documents/book_page"
    return "typography/chinese_display" if language == "zh" else "typography/type_specimen"


def _facts(pieces: list[_Piece], language: Language, num_dropped: int) -> tuple[Fact, ...]:
    facts = [Fact(name="language", value=language), Fact(name="texts_dropped_for_missing_glyphs", value=num_dropped)]
    facts += [Fact(name="font", value=piece.font.family) for piece in pieces]
    return tuple(facts)


def size_words(size_px: Px, page_px: int) -> Words:
    """How large letters look on a page of a height: small below 1/20, large above 1/8."""
    share = size_px / page_px
    return (
        Words("large", "大号") if share > 1 / 8 else Words("small", "小号") if share < 1 / 20 else Words("medium-sized", "中号")
    )


def _captions_en(pieces: list[_Piece], surface: Paper) -> Captions:
    page_px = surface.image.height
    first = pieces[0]
    quoted = " and ".join(f'"{piece.text}"' for piece in pieces)
    if len(pieces) == 2:
        details = (
            f'the heading "{first.text}" in {size_words(first.block.size_px, page_px).en} {first.ink.en} {first.font.en} letters, above '
            f'the paragraph "{pieces[1].text}" in {size_words(pieces[1].block.size_px, page_px).en} {pieces[1].ink.en} {pieces[1].font.en} '
            f"letters, {_ALIGNS[pieces[1].align].en}"
        )
        return Captions(
            f"text {quoted}",
            f'A page with the heading "{first.text}" and the text "{pieces[1].text}".',
            f"On {surface.en}, {details}.",
        )
    look = f"{size_words(first.block.size_px, page_px).en} {first.ink.en} {first.font.en} letters"
    count = len(first.block.lines)
    lines = "on one line" if count == 1 else f"in {count} lines, {_ALIGNS[first.align].en}"
    return Captions(
        f"text {quoted}",
        f"The text {quoted} in {first.ink.en} on {surface.en}.",
        f"The text {quoted} in {look} ({first.font.family}) {_PLACES[first.place].en} of {surface.en}, {lines}.",
    )


def _captions_zh(pieces: list[_Piece], surface: Paper) -> Captions:
    page_px = surface.image.height
    first = pieces[0]
    quoted = "和".join(f"“{piece.text}”" for piece in pieces)
    if len(pieces) == 2:
        second = pieces[1]
        return Captions(
            f"文字{quoted}", f"一页文字，标题为“{first.text}”，正文为“{second.text}”。",
            f"{surface.zh}上，标题“{first.text}”为{size_words(first.block.size_px, page_px).zh}{first.ink.zh}{first.font.zh}，"
            f"其下的正文“{second.text}”为{size_words(second.block.size_px, page_px).zh}{second.ink.zh}{second.font.zh}，{_ALIGNS[second.align].zh}。",
        )  # fmt: skip
    lines = "单行" if len(first.block.lines) == 1 else f"共{len(first.block.lines)}行，{_ALIGNS[first.align].zh}"
    return Captions(
        f"文字{quoted}",
        f"{surface.zh}上的{first.ink.zh}文字{quoted}。",
        f"{surface.zh}{_PLACES[first.place].zh}的{size_words(first.block.size_px, page_px).zh}{first.ink.zh}{first.font.zh}文字{quoted}，{lines}。",
    )
