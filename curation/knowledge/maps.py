"""Dot maps of airports in the United States, a state at a time or all of them.

No well-kept Python package ships outlines of countries under a free licence (they download them, or are copyleft), so what is
mapped are points: the 3,376 airports of `vega-datasets` (public domain), which draw the shape of the land by themselves.
"""

from collections.abc import Mapping
from functools import cache
from math import cos, radians
from random import Random
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from curation.captions.vocabulary import Words
from curation.knowledge.chart_tables import rows
from curation.knowledge.draws import draws
from curation.knowledge.fonts import FONT_LICENCES, Font, Language, loaded, pick_font
from curation.knowledge.geometry import Box, Px
from curation.knowledge.palette import SURFACES, Colour, readable_ink
from curation.knowledge.sample import Captions, Element, Fact, KnowledgeSample, Truth, load_of

SIZES_PX: tuple[int, ...] = (320, 384, 512, 640)
ATTRIBUTION = "airports: vega-datasets, after ourairports.com (public domain)"

_STATES: Mapping[str, Words] = {
    "AK": Words("Alaska", "阿拉斯加州"), "AZ": Words("Arizona", "亚利桑那州"), "CA": Words("California", "加利福尼亚州"), "CO": Words("Colorado", "科罗拉多州"),
    "FL": Words("Florida", "佛罗里达州"), "GA": Words("Georgia", "佐治亚州"), "IA": Words("Iowa", "艾奥瓦州"), "IL": Words("Illinois", "伊利诺伊州"),
    "KS": Words("Kansas", "堪萨斯州"), "LA": Words("Louisiana", "路易斯安那州"), "MI": Words("Michigan", "密歇根州"), "MN": Words("Minnesota", "明尼苏达州"),
    "MO": Words("Missouri", "密苏里州"), "MT": Words("Montana", "蒙大拿州"), "NC": Words("North Carolina", "北卡罗来纳州"), "ND": Words("North Dakota", "北达科他州"),
    "NE": Words("Nebraska", "内布拉斯加州"), "NM": Words("New Mexico", "新墨西哥州"), "NY": Words("New York", "纽约州"), "OH": Words("Ohio", "俄亥俄州"),
    "OK": Words("Oklahoma", "俄克拉何马州"), "PA": Words("Pennsylvania", "宾夕法尼亚州"), "TX": Words("Texas", "得克萨斯州"), "WA": Words("Washington State", "华盛顿州"),
    "WI": Words("Wisconsin", "威斯康星州"), "WY": Words("Wyoming", "怀俄明州"),
}  # fmt: skip
_COUNTRY = Words("the contiguous United States", "美国本土")
_OUTSIDE = frozenset({"AK", "HI", "PR", "GU", "AS", "CQ", "VI", "NA"})


class _Airport(NamedTuple):
    code: str
    city: str
    longitude: float
    latitude: float


class _Look(NamedTuple):
    language: Language
    font: Font
    surface: Colour
    ink: Colour
    dot: Colour
    num_named: int


def draw(seed: int, index: int) -> KnowledgeSample:
    """One map: the whole country without names, or a state with some airports named."""
    stream = draws("maps", seed, index)
    state = "" if stream.random() < 0.2 else stream.choice(tuple(_STATES))
    language: Language = stream.choice(("en", "zh"))
    surface = stream.choice(SURFACES[:9])
    ink = readable_ink(stream, surface.rgb)
    look = _Look(
        language,
        pick_font(stream, language, "body"),
        surface,
        ink,
        readable_ink(stream, surface.rgb),
        stream.choice((0, 2, 3, 4)) if state else 0,
    )
    name = _STATES[state] if state else _COUNTRY
    airports = _airports(state)
    image, elements, named = _drawn(stream, name, airports, look)
    facts = (Fact(name="airports", value=len(airports)), *(Fact(name=airport.code, value=airport.city) for airport in named))
    return KnowledgeSample(
        id=f"maps/{seed}/{index}",
        pixels=np.asarray(image),
        captions_en=_captions_en(name, len(airports), named, look),
        captions_zh=_captions_zh(name, len(airports), named, look),
        truth=Truth(elements=elements, facts=facts),
        load=load_of(elements, width_px=image.width, height_px=image.height),
        concept=f"map/{state or 'US'}",
        leaf="maps/thematic",
        licence="CC0-1.0",
        attribution=f"{ATTRIBUTION}; {FONT_LICENCES}",
    )


@cache
def _airports(state: str) -> tuple[_Airport, ...]:
    chosen = [row for row in rows("airports.csv") if row["state"] == state or (not state and row["state"] not in _OUTSIDE)]
    found = [
        _Airport(str(row["iata"]), str(row["city"]), float(str(row["longitude"])), float(str(row["latitude"]))) for row in chosen
    ]
    return tuple(airport for airport in found if state == "AK" or -125 < airport.longitude < -66)


def _drawn(
    stream: Random, name: Words, airports: tuple[_Airport, ...], look: _Look
) -> tuple[Image.Image, tuple[Element, ...], tuple[_Airport, ...]]:
    places, (width, height) = _projected(airports, stream.choice(SIZES_PX))
    title_px = max(18, width // 18)
    image = Image.new("RGB", (width, height + 2 * title_px), look.surface.rgb)
    pen = ImageDraw.Draw(image)
    title = f"Airports in {name.en}" if look.language == "en" else f"{name.zh}的机场"
    while loaded(look.font, title_px).getlength(title) > width * 0.94:
        title_px -= 1
    at = (width / 2, image.height - height - title_px * 0.3)
    pen.text(at, title, fill=look.ink.rgb, font=loaded(look.font, title_px), anchor="ms")
    elements = [Element(kind="text", text=title, box=pen.textbbox(at, title, font=loaded(look.font, title_px), anchor="ms"))]
    top = image.height - height
    image.paste(look.dot.rgb, (0, top), _dots(places, (width, height), width / (300 if len(airports) > 1000 else 130)))
    labels, named = _labels(stream, image, airports, places, top, look)
    whole = Element(kind="plot", text="", box=(0, top, width, image.height))
    return image, (*elements, whole, *labels), named


def _projected(airports: tuple[_Airport, ...], side_px: int) -> tuple[list[tuple[Px, Px]], tuple[int, int]]:
    """Equirectangular with the middle latitude as standard parallel: true to scale there, good for a state."""
    longitudes, latitudes = [a.longitude for a in airports], [a.latitude for a in airports]
    squeeze = cos(radians((min(latitudes) + max(latitudes)) / 2))
    across, down = (max(longitudes) - min(longitudes)) * squeeze, max(latitudes) - min(latitudes)
    margin = side_px * 0.1
    scale = (side_px - 2 * margin) / max(across, down)
    size = (round(max(across * scale, side_px * 0.6) + 2 * margin), round(down * scale + 2 * margin))
    pad = (size[0] - across * scale) / 2
    return [
        (pad + (a.longitude - min(longitudes)) * squeeze * scale, margin + (max(latitudes) - a.latitude) * scale)
        for a in airports
    ], size


def _dots(places: list[tuple[Px, Px]], size_px: tuple[int, int], radius_px: Px) -> Image.Image:
    """A mask of dots, drawn at four times the size for round edges."""
    fine = 4
    mask = Image.new("L", (size_px[0] * fine, size_px[1] * fine))
    pen = ImageDraw.Draw(mask)
    r = max(1.5, radius_px) * fine
    for x, y in places:
        pen.ellipse([x * fine - r, y * fine - r, x * fine + r, y * fine + r], fill=255)
    return mask.resize(size_px, Image.Resampling.LANCZOS)


def _labels(
    stream: Random, image: Image.Image, airports: tuple[_Airport, ...], places: list[tuple[Px, Px]], top: int, look: _Look
) -> tuple[list[Element], tuple[_Airport, ...]]:
    """Codes beside some airports, each where it neither leaves the picture nor covers another code or dot."""
    face = loaded(look.font, max(12, image.width // 26))
    pen = ImageDraw.Draw(image)
    drawn: list[Element] = []
    named: list[_Airport] = []
    for place in stream.sample(range(len(airports)), len(airports)):
        if len(named) == look.num_named:
            break
        x, y = places[place]
        at = (x + image.width / 70, top + y)
        box = pen.textbbox(at, airports[place].code, font=face, anchor="lm")
        taken = [other.box for other in drawn] + [(u, top + v, u, top + v) for u, v in places]
        if box[2] > image.width - 4 or box[1] < top or any(_touch(box, other) for other in taken):
            continue
        pen.text(at, airports[place].code, fill=look.ink.rgb, font=face, anchor="lm")
        drawn.append(Element(kind="text", text=airports[place].code, box=box))
        named.append(airports[place])
    return drawn, tuple(named)


def _touch(first: Box, second: Box) -> bool:
    gap = 3
    return first[0] < second[2] + gap and second[0] < first[2] + gap and first[1] < second[3] + gap and second[1] < first[3] + gap


def _captions_en(name: Words, count: int, named: tuple[_Airport, ...], look: _Look) -> Captions:
    labels = " and ".join(f'"{airport.code}" ({airport.city})' for airport in named)
    labelled = f" Labelled are {labels}." if named else ""
    title = f"Airports in {name.en}" if look.language == "en" else f"{name.zh}的机场"
    return Captions(
        f"dot map of airports in {name.en}",
        f"A dot map of the {count} airports in {name.en}.",
        f'A dot map titled "{title}" on a {look.surface.en} background, with a {look.dot.en} dot for each of {count} airports.{labelled}',
    )


def _captions_zh(name: Words, count: int, named: tuple[_Airport, ...], look: _Look) -> Captions:
    labelled = f"标注了{'、'.join(f'“{airport.code}”（{airport.city}）' for airport in named)}。" if named else ""
    title = f"Airports in {name.en}" if look.language == "en" else f"{name.zh}的机场"
    return Captions(
        f"{name.zh}机场分布点图",
        f"{name.zh}{count}个机场的分布点图。",
        f"{look.surface.zh}背景上标题为“{title}”的点图，用{look.dot.zh}圆点标出{count}个机场。{labelled}",
    )
