"""Cards and shell diagrams of the chemical elements, from a table of facts.

The table is ``elements.json``: figures of the `mendeleev` package (MIT), which itself depends on more than a table is worth, and
Chinese names.
"""

import json
import re
from functools import cache
from math import cos, pi, sin
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from curation.captions import english
from curation.captions.vocabulary import Words
from curation.knowledge.draws import draws
from curation.knowledge.fonts import FONTS, Font, Language, loaded, missing_glyphs, pick_font
from curation.knowledge.geometry import Px
from curation.knowledge.palette import SURFACES, Colour, readable_ink
from curation.knowledge.sample import Captions, Fact, KnowledgeSample, Truth, load_of
from curation.knowledge.sample import Element as Drawn

SIZES_PX: tuple[int, ...] = (256, 320, 384, 512)
Layout = Literal["card", "row", "shells"]
ATTRIBUTION = "element data: mendeleev (Lukasz Mentel), MIT licence"

_SERIES: dict[str, tuple[str, Colour]] = {
    "nonmetal": ("非金属", Colour("green", "绿色", (118, 200, 147))), "noble gas": ("稀有气体", Colour("light blue", "浅蓝色", (150, 190, 240))),
    "alkali metal": ("碱金属", Colour("coral", "珊瑚色", (240, 128, 128))),
    "alkaline earth metal": ("碱土金属", Colour("apricot", "杏色", (246, 180, 120))),
    "metalloid": ("类金属", Colour("olive green", "橄榄绿色", (196, 206, 120))), "halogen": ("卤素", Colour("yellow", "黄色", (240, 218, 110))),
    "post-transition metal": ("后过渡金属", Colour("grey-blue", "灰蓝色", (170, 182, 196))),
    "transition metal": ("过渡金属", Colour("pink", "粉色", (224, 160, 190))),
    "lanthanide": ("镧系元素", Colour("lavender", "淡紫色", (190, 170, 235))), "actinide": ("锕系元素", Colour("violet", "紫罗兰色", (214, 150, 226))),
}  # fmt: skip
_CHINESE: tuple[Font, ...] = FONTS[:2]


class ChemicalElement(NamedTuple):
    """One row of the periodic table; None where nothing is known."""

    number: int
    symbol: str
    name_en: str
    name_zh: str
    weight: Px
    group: int | None
    period: int
    series: str
    configuration: str
    electronegativity: float | None
    discovered: int | None
    melting_k: float | None
    boiling_k: float | None

    @property
    def weight_text(self) -> str:
        """The atomic weight as periodic tables print it: in brackets for elements without stable isotopes."""
        return f"[{self.weight:.0f}]" if self.weight == round(self.weight) else f"{self.weight:g}"


class _Look(NamedTuple):
    layout: Layout
    language: Language
    font: Font
    fill: Colour
    side_px: int


@cache
def periodic_table() -> tuple[ChemicalElement, ...]:
    """All 118 elements by number."""
    table = json.loads(Path(__file__).with_name("elements.json").read_text(encoding="utf-8"))
    assert tuple(table["columns"]) == ChemicalElement._fields, (table["columns"], ChemicalElement._fields)
    return tuple(ChemicalElement(*row) for row in table["rows"])


def shells(element: ChemicalElement) -> tuple[int, ...]:
    """Electrons in each shell, innermost first, from the electron configuration."""
    counts: dict[int, int] = {}
    core = re.match(r"\[(\w+)\]", element.configuration)
    if core:
        inner = next(other for other in periodic_table() if other.symbol == core.group(1))
        counts = dict(enumerate(shells(inner), start=1))
    for shell, electrons in re.findall(r"(\d)[spdf](\d*)", element.configuration):
        counts[int(shell)] = counts.get(int(shell), 0) + int(electrons or 1)
    return tuple(counts[shell] for shell in sorted(counts))


def draw(seed: int, index: int) -> KnowledgeSample:
    """One card, a row of cards or a shell diagram."""
    stream = draws("elements", seed, index)
    layout: Layout = stream.choice(("card", "card", "row", "shells"))
    first = stream.choice(periodic_table() if layout != "shells" else periodic_table()[:36])
    elements = _neighbours(stream, first) if layout == "row" else (first,)
    look = _look(stream, layout, elements)
    image, drawn = _picture(elements, look)
    facts = tuple(
        Fact(name=f"{element.symbol} {name}", value=value)
        for element in elements
        for name, value in (("number", element.number), ("weight", element.weight), ("series", element.series))
    )
    return KnowledgeSample(
        id=f"elements/{seed}/{index}",
        pixels=np.asarray(image),
        captions_en=_captions_en(elements, look),
        captions_zh=_captions_zh(elements, look),
        truth=Truth(elements=drawn, facts=facts),
        load=load_of(drawn, width_px=image.width, height_px=image.height),
        concept=f"element/{first.symbol}",
        leaf="physics/atomic_quantum" if layout == "shells" else "chemistry/periodic_table",
        licence="CC0-1.0",
        attribution=ATTRIBUTION,
    )


def _neighbours(stream: Random, first: ChemicalElement) -> tuple[ChemicalElement, ...]:
    start = min(first.number, 118 - 4) - 1
    return periodic_table()[start : start + stream.randint(2, 4)]


def _look(stream: Random, layout: Layout, elements: tuple[ChemicalElement, ...]) -> _Look:
    names = "".join(element.name_zh for element in elements)
    in_chinese = [font for font in _CHINESE if not missing_glyphs(font, names)]
    language: Language = stream.choice(("en", "zh")) if in_chinese else "en"
    font = stream.choice(in_chinese) if language == "zh" else pick_font(stream, "en", "body")
    fill = _SERIES[elements[0].series][1] if stream.random() < 0.6 else stream.choice(SURFACES)
    return _Look(layout, language, font, fill, stream.choice(SIZES_PX))


def _picture(elements: tuple[ChemicalElement, ...], look: _Look) -> tuple[Image.Image, tuple[Drawn, ...]]:
    side = look.side_px
    if look.layout == "shells":
        return _shell_diagram(elements[0], look)
    width = side if look.layout == "card" else round(side * 0.62) * len(elements) + side // 20
    image = Image.new("RGB", (width, side if look.layout == "card" else round(side * 0.75)), (255, 255, 255))
    step = (width - side // 20) // len(elements)
    drawn: list[Drawn] = []
    for place, element in enumerate(elements):
        box = (side // 20 + place * step, side // 20, side // 20 + (place + 1) * step - side // 20, image.height - side // 20)
        drawn += _card(image, element, look, box)
    return image, tuple(drawn)


def _card(image: Image.Image, element: ChemicalElement, look: _Look, box: tuple[int, int, int, int]) -> list[Drawn]:
    left, top, right, bottom = box
    fill = look.fill.rgb if look.layout == "card" else _SERIES[element.series][1].rgb
    ink = readable_ink(draws("ink", 0, element.number), fill).rgb
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle(box, radius=(bottom - top) // 16, fill=fill, outline=ink, width=max(1, (bottom - top) // 90))
    height, pad = bottom - top, (right - left) // 12
    name = element.name_en if look.language == "en" else element.name_zh
    middle = (left + right) / 2
    size = height / 10 if len(name) <= 9 else height / 12.5
    pieces = (
        (str(element.number), (left + pad, top + pad), "la", height / 9), (element.symbol, (middle, top + height * 0.42), "mm", height / 2.9),
        (name, (middle, top + height * 0.7), "mm", size), (element.weight_text, (middle, top + height * 0.85), "mm", height / 12),
    )  # fmt: skip
    drawn = [Drawn(kind="card", text="", box=(left, top, right + 1, bottom + 1))]
    for text, at, anchor, size_px in pieces:
        face = loaded(look.font, _narrowed(text, look.font, round(size_px), right - left - 2 * pad))
        pen.text(at, text, fill=ink, font=face, anchor=anchor)
        drawn.append(Drawn(kind="text", text=text, box=pen.textbbox(at, text, font=face, anchor=anchor)))
    return drawn


def _narrowed(text: str, font: Font, size_px: int, width_px: Px) -> int:
    while size_px > 8 and loaded(font, size_px).getlength(text) > width_px:
        size_px -= 1
    return size_px


def _shell_diagram(element: ChemicalElement, look: _Look) -> tuple[Image.Image, tuple[Drawn, ...]]:
    """A Bohr diagram: nucleus with symbol, a circle a shell, a dot an electron; drawn at twice the size for smooth circles."""
    side, counts = look.side_px * 2, shells(element)
    image = Image.new("RGB", (side, side), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    middle, core = side / 2, side * 0.09
    dots: list[Drawn] = []
    fill = _SERIES[element.series][1].rgb
    for shell, electrons in enumerate(counts, start=1):
        radius = core + (side * 0.46 - core) * shell / len(counts)
        pen.ellipse(
            [middle - radius, middle - radius, middle + radius, middle + radius],
            outline=(120, 128, 140),
            width=max(2, side // 250),
        )
        for place in range(electrons):
            angle = 2 * pi * place / electrons - pi / 2
            x, y, r = middle + radius * cos(angle), middle + radius * sin(angle), side * 0.013
            pen.ellipse([x - r, y - r, x + r, y + r], fill=(40, 92, 200))
            dots.append(Drawn(kind="marker", text="", box=((x - r) / 2, (y - r) / 2, (x + r) / 2, (y + r) / 2)))
    pen.ellipse(
        [middle - core, middle - core, middle + core, middle + core], fill=fill, outline=(70, 70, 80), width=max(2, side // 250)
    )
    face = loaded(look.font, round(core * 1.05))
    pen.text((middle, middle), element.symbol, fill=(20, 20, 24), font=face, anchor="mm")
    left, top, right, bottom = pen.textbbox((middle, middle), element.symbol, font=face, anchor="mm")
    symbol = Drawn(kind="text", text=element.symbol, box=(left / 2, top / 2, right / 2, bottom / 2))
    return image.resize((look.side_px, look.side_px), Image.Resampling.LANCZOS), (symbol, *dots)


def _captions_en(elements: tuple[ChemicalElement, ...], look: _Look) -> Captions:
    element = elements[0]
    if look.layout == "row":
        return _row_captions_en(elements, look)
    kind = f"{english.indefinite(element.series)}"
    if look.layout == "shells":
        counts = shells(element)
        each = ", ".join(map(str, counts))
        return Captions(
            f"Bohr diagram of {element.name_en.lower()}",
            f"A Bohr diagram of {element.name_en.lower()} ({element.symbol}) with {_shells_en(len(counts))} holding {each} electrons.",
            f"A Bohr diagram of {element.name_en.lower()}, {kind}: the symbol {element.symbol} in the nucleus, circled by "
            f"{_shells_en(len(counts))} with {each} blue electrons from the inside out, {element.number} in all, on white.",
        )
    name = element.name_en if look.language == "en" else element.name_zh
    short = f"periodic table card of {element.name_en.lower()}, {element.symbol}"
    medium = f'A periodic table card of {element.name_en.lower()} with the symbol "{element.symbol}" and the atomic number "{element.number}".'
    return Captions(
        short,
        medium,
        f'{english.capitalised(english.indefinite(f"{look.fill.en} rounded card"))} of {element.name_en.lower()}, {kind}: the number "{element.number}" at the top left, the large symbol '
        f'"{element.symbol}" in the middle, the name "{name}" below it and the atomic weight "{element.weight_text}" at the bottom.',
    )


def _shells_en(count: int) -> str:
    return "one shell" if count == 1 else f"{count} shells"


def _row_captions_en(elements: tuple[ChemicalElement, ...], look: _Look) -> Captions:
    symbols = ", ".join(element.symbol for element in elements)
    each = "; ".join(
        f'"{element.number}", "{element.symbol}", "{element.name_en if look.language == "en" else element.name_zh}", "{element.weight_text}"'
        for element in elements
    )
    names = ", ".join(element.name_en.lower() for element in elements)
    return Captions(
        f"periodic table cards of {symbols}",
        f"A row of {len(elements)} periodic table cards, from left to right {names}.",
        f"A row of {len(elements)} periodic table cards coloured by kind of element; number, symbol, name and weight read {each}.",
    )


def _captions_zh(elements: tuple[ChemicalElement, ...], look: _Look) -> Captions:
    element = elements[0]
    series = Words(element.series, _SERIES[element.series][0])
    if look.layout == "row":
        symbols, names = "、".join(e.symbol for e in elements), "、".join(e.name_zh for e in elements)
        each = "；".join(
            f"“{e.number}”“{e.symbol}”“{e.name_en if look.language == 'en' else e.name_zh}”“{e.weight_text}”" for e in elements
        )
        return Captions(
            f"{symbols}的元素周期表卡片", f"一排{len(elements)}张元素周期表卡片，从左到右是{names}。",
            f"一排{len(elements)}张按元素类别着色的元素周期表卡片，序数、符号、名称和原子量依次为{each}。",
        )  # fmt: skip
    if look.layout == "shells":
        counts = "、".join(map(str, shells(element)))
        return Captions(
            f"{element.name_zh}的玻尔原子模型图", f"{element.name_zh}（{element.symbol}）的玻尔原子模型图，各电子层有{counts}个电子。",
            f"白色背景上{element.name_zh}（{series.zh}）的玻尔原子模型图：原子核处写有{element.symbol}，由内到外各层有{counts}个蓝色电子，共{element.number}个。",
        )  # fmt: skip
    name = element.name_en if look.language == "en" else element.name_zh
    return Captions(
        f"{element.name_zh}（{element.symbol}）的元素周期表卡片",
        f"{element.name_zh}的元素周期表卡片，符号“{element.symbol}”，原子序数“{element.number}”。",
        f"{series.zh}{element.name_zh}的{look.fill.zh}圆角元素卡片：左上角为序数“{element.number}”，中央为大号符号“{element.symbol}”，"
        f"其下为名称“{name}”，底部为原子量“{element.weight_text}”。",
    )
