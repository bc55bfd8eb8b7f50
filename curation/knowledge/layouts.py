"""Text in layouts: slides, interface cards and tables ("complex rendering" of Qwen-Image, arXiv:2508.02324).

Every string stands in a slot of known size and is set to fit it, so nothing is clipped and every box is known.
"""

from random import Random
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from curation.captions import english
from curation.captions.vocabulary import Words
from curation.knowledge.draws import draws
from curation.knowledge.elements import periodic_table
from curation.knowledge.fonts import FONT_LICENCES, Font, Language, missing_glyphs, pick_font
from curation.knowledge.geometry import Box, Px
from curation.knowledge.palette import Colour, Rgb
from curation.knowledge.phrases import distinct_phrases, phrase
from curation.knowledge.sample import Captions, Element, Fact, KnowledgeSample, Truth, load_of
from curation.knowledge.typeset import Align, bounds, draw_block, fitted

Layout = Literal["slide", "card", "table"]


class _Theme(NamedTuple):
    """Colours that go together."""

    words: Words
    ground: Rgb
    surface: Rgb
    ink: Rgb
    accent: Colour
    on_accent: Rgb


_THEMES: tuple[_Theme, ...] = (
    _Theme(
        Words("light", "浅色"),
        (240, 243, 248),
        (255, 255, 255),
        (30, 34, 42),
        Colour("blue", "蓝色", (32, 98, 212)),
        (255, 255, 255),
    ),
    _Theme(
        Words("dark", "深色"),
        (18, 20, 26),
        (34, 38, 48),
        (236, 238, 242),
        Colour("amber", "琥珀色", (246, 180, 60)),
        (24, 22, 16),
    ),
    _Theme(
        Words("cream", "米色"),
        (246, 238, 222),
        (255, 252, 244),
        (58, 44, 32),
        Colour("dark red", "暗红色", (158, 42, 40)),
        (255, 248, 240),
    ),
    _Theme(
        Words("mint", "薄荷绿"),
        (226, 244, 236),
        (255, 255, 255),
        (20, 52, 44),
        Colour("green", "绿色", (14, 110, 78)),
        (255, 255, 255),
    ),
)
_SIZES_PX: dict[Layout, tuple[tuple[int, int], ...]] = {
    "slide": ((640, 360), (800, 450), (1024, 576)), "card": ((360, 480), (420, 560), (480, 640)), "table": ((480, 360), (640, 480), (720, 560)),
}  # fmt: skip


class _Page:
    """An image under construction with the boxes of what is written on it."""

    def __init__(self, size_px: tuple[int, int], theme: _Theme, font: Font) -> None:
        self.image = Image.new("RGB", size_px, theme.ground)
        self.pen = ImageDraw.Draw(self.image)
        self.theme, self.font = theme, font
        self.elements: list[Element] = []

    def write(
        self,
        text: str,
        box: Box,
        *,
        ink: Rgb,
        largest_px: Px,
        align: Align = "left",
        font: Font | None = None,
    ) -> None:
        """Sets a text into a box, vertically centred, as large as fits but at most `largest_px`."""
        left, top, right, bottom = box
        block = fitted(text, font or self.font, (right - left, bottom - top), largest_px=round(largest_px), smallest_px=7)
        assert block is not None, f"{text!r} does not fit into {box}"
        upper = top + (bottom - top - block.height_px) / 2
        lines = draw_block(self.image, block, (left, upper, right - left), ink=ink, align=align)
        self.elements.append(Element(kind="text", text=text, box=bounds(lines)))

    def texts(self) -> list[str]:
        """What was written, in order."""
        return [element.text for element in self.elements]


def draw(seed: int, index: int) -> KnowledgeSample:
    """One slide, card or table."""
    stream = draws("layouts", seed, index)
    layout: Layout = stream.choice(("slide", "card", "table"))
    language: Language = stream.choice(("en", "zh"))
    page = _Page(stream.choice(_SIZES_PX[layout]), stream.choice(_THEMES), pick_font(stream, language, "body"))
    match layout:
        case "slide":
            captions = _slide(stream, page, language)
        case "card":
            captions = _card(stream, page, language)
        case "table":
            captions = _table(stream, page, language)
    elements = tuple(page.elements)
    assert not missing_glyphs(page.font, "".join(page.texts())), (page.font.family, page.texts())
    return KnowledgeSample(
        id=f"layouts/{seed}/{index}",
        pixels=np.asarray(page.image),
        captions_en=captions[0],
        captions_zh=captions[1],
        truth=Truth(
            elements=elements,
            facts=(
                Fact(name="layout", value=layout),
                Fact(name="language", value=language),
                Fact(name="font", value=page.font.family),
            ),
        ),
        load=load_of(elements, width_px=page.image.width, height_px=page.image.height),
        concept=f"text/{' '.join(page.texts())}",
        leaf={"slide": "documents/slides", "card": "interface/mobile_app", "table": "documents/table_sheet"}[layout],
        licence="CC0-1.0",
        attribution=f"text by Seedbed; {FONT_LICENCES}",
    )


def _slide(stream: Random, page: _Page, language: Language) -> tuple[Captions, Captions]:
    width, height = page.image.size
    theme = page.theme
    margin = width * 0.07
    has_band = stream.random() < 0.5
    if has_band:
        page.pen.rectangle([0, 0, width, height * 0.24], fill=theme.accent.rgb)
    else:
        page.pen.rectangle([margin, height * 0.23, width - margin, height * 0.235], fill=theme.accent.rgb)
    title = phrase(stream, language, "slide_title")
    page.write(
        title,
        (margin, height * 0.05, width - margin, height * 0.2),
        ink=theme.on_accent if has_band else theme.ink,
        largest_px=height / 9,
    )
    count = stream.randint(2, 5)
    bullets = list(dict.fromkeys(phrase(stream, language, "bullet") for _ in range(count)))
    step = height * 0.64 / len(bullets)
    for place, bullet in enumerate(bullets):
        top = height * 0.29 + place * step
        middle, dot = top + step / 2, height * 0.012
        page.pen.ellipse([margin, middle - dot, margin + 2 * dot, middle + dot], fill=theme.accent.rgb)
        page.write(bullet, (margin + height * 0.06, top, width - margin, top + step), ink=theme.ink, largest_px=height / 16)
    listed_en, listed_zh = ", ".join(f'"{bullet}"' for bullet in bullets), "、".join(f"“{bullet}”" for bullet in bullets)
    band = (
        Words(english.indefinite(f"{theme.accent.en} title band"), f"{theme.accent.zh}标题栏")
        if has_band
        else Words(english.indefinite(f"{theme.accent.en} rule below the title"), f"标题下有{theme.accent.zh}横线")
    )
    points = "one bullet point" if len(bullets) == 1 else f"{len(bullets)} bullet points"
    return (
        Captions(f'presentation slide titled "{title}"', f'A presentation slide titled "{title}" with {points}.',
                 f'A {theme.words.en} presentation slide with {band.en}, titled "{title}", with {points}: {listed_en}.'),
        Captions(f"标题为“{title}”的幻灯片", f"标题为“{title}”的幻灯片，有{len(bullets)}个要点。",
                 f"{theme.words.zh}幻灯片，{band.zh}，标题为“{title}”，{len(bullets)}个要点依次为{listed_zh}。"),
    )  # fmt: skip


def _card(stream: Random, page: _Page, language: Language) -> tuple[Captions, Captions]:
    width, height = page.image.size
    theme = page.theme
    left, right = width * 0.08, width * 0.92
    page.pen.rounded_rectangle([width * 0.04, height * 0.03, width * 0.96, height * 0.97], radius=width // 18, fill=theme.surface)
    labels = distinct_phrases(stream, language, "label", stream.randint(3, 6))
    title, *rows = labels
    button = phrase(stream, language, "button")
    page.write(title, (left, height * 0.06, right, height * 0.17), ink=theme.ink, largest_px=height / 15)
    step = height * 0.6 / len(rows)
    switches: list[bool] = []
    for place, row in enumerate(rows):
        top = height * 0.19 + place * step
        page.pen.line([(left, top), (right, top)], fill=theme.ground, width=2)
        page.write(row, (left, top, right - width * 0.2, top + step), ink=theme.ink, largest_px=height / 24)
        switches.append(stream.random() < 0.5)
        _switch(page, right, top + step / 2, is_on=switches[-1])
    page.pen.rounded_rectangle([left, height * 0.83, right, height * 0.92], radius=height // 40, fill=theme.accent.rgb)
    page.write(button, (left, height * 0.835, right, height * 0.915), ink=theme.on_accent, largest_px=height / 24, align="centre")
    states = list(zip(rows, switches, strict=True))
    listed_en = ", ".join(f'"{row}" {"on" if on else "off"}' for row, on in states)
    listed_zh = "、".join(f"“{row}”{'开' if on else '关'}" for row, on in states)
    rows_en, a_button = f"{len(rows)} rows with switches", english.indefinite(f"{theme.accent.en} button")
    return (
        Captions(f'app screen titled "{title}"', f'An app screen titled "{title}" with {rows_en} and a button "{button}".',
                 f'A {theme.words.en} app card titled "{title}" with {rows_en}, {listed_en}, and {a_button} "{button}" at the bottom.'),
        Captions(f"标题为“{title}”的应用界面", f"标题为“{title}”的应用界面，有{len(rows)}个开关和一个“{button}”按钮。",
                 f"{theme.words.zh}应用卡片，标题为“{title}”，{len(rows)}个开关依次为{listed_zh}，底部是{theme.accent.zh}按钮“{button}”。"),
    )  # fmt: skip


def _switch(page: _Page, right: Px, middle: Px, *, is_on: bool) -> None:
    tall = page.image.height * 0.038
    wide = tall * 1.8
    off = tuple((part + other) // 2 for part, other in zip(page.theme.ground, page.theme.ink, strict=True))
    page.pen.rounded_rectangle(
        [right - wide, middle - tall / 2, right, middle + tall / 2], radius=tall / 2, fill=page.theme.accent.rgb if is_on else off
    )
    knob = right - tall / 2 if is_on else right - wide + tall / 2
    r = tall * 0.38
    page.pen.ellipse([knob - r, middle - r, knob + r, middle + r], fill=(255, 255, 255))


def _table(stream: Random, page: _Page, language: Language) -> tuple[Captions, Captions]:
    """A table of facts about elements that follow each other."""
    width, height = page.image.size
    theme = page.theme
    first = stream.randint(1, 96)
    elements = periodic_table()[first - 1 : first - 1 + stream.randint(3, 6)]
    head = ("Element", "Symbol", "Number", "Weight") if language == "en" else ("元素", "符号", "序数", "原子量")
    body = [(e.name_en if language == "en" else e.name_zh, e.symbol, str(e.number), e.weight_text) for e in elements]
    left, top, right, bottom = width * 0.06, height * 0.08, width * 0.94, height * 0.92
    step = (bottom - top) / (len(body) + 1)
    column = [left + (right - left) * share for share in (0, 0.38, 0.57, 0.77, 1)]
    page.pen.rectangle([left, top, right, bottom], fill=theme.surface)
    page.pen.rectangle([left, top, right, top + step], fill=theme.accent.rgb)
    for row, cells in enumerate((head, *body)):
        upper = top + row * step
        ink = theme.on_accent if row == 0 else theme.ink
        page.pen.line([(left, upper + step), (right, upper + step)], fill=theme.ground, width=max(1, height // 250))
        for place, cell in enumerate(cells):
            box = (column[place] + width * 0.015, upper, column[place + 1] - width * 0.035, upper + step)
            page.write(cell, box, ink=ink, largest_px=height / 20)
    rows_en, rows_zh = "; ".join(" ".join(cells) for cells in body), "；".join(" ".join(cells) for cells in body)
    names = ", ".join(e.name_en.lower() for e in elements)
    header = ", ".join(f'"{cell}"' for cell in head)
    return (
        Captions(f"table of the elements {elements[0].number} to {elements[-1].number}", f"A table of {len(elements)} chemical elements: {names}.",
                 f"A {theme.words.en} table with {english.indefinite(theme.accent.en + ' header row')} {header} and {len(body)} rows: {rows_en}."),
        Captions(f"第{elements[0].number}至{elements[-1].number}号元素的表格", f"{len(elements)}种化学元素的表格：{'、'.join(e.name_zh for e in elements)}。",
                 f"{theme.words.zh}表格，{theme.accent.zh}表头为{'、'.join(f'“{cell}”' for cell in head)}，共{len(body)}行：{rows_zh}。"),
    )  # fmt: skip
