"""Text on things in pictures: boards, posters, labels and book covers put into a scene in perspective.

"Compositional rendering" of Qwen-Image (arXiv:2508.02324): the thing is drawn flat and then mapped onto a quadrilateral of the
scene, with a shadow, so that the exact text and its corners are known.
"""

from random import Random
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFilter

from curation.captions import english
from curation.captions.vocabulary import Words
from curation.knowledge.draws import draws
from curation.knowledge.fonts import FONT_LICENCES, Font, Language, Role, pick_font
from curation.knowledge.geometry import Box, Px
from curation.knowledge.palette import SURFACES, Colour, readable_ink
from curation.knowledge.phrases import PhraseKind, phrase, writable
from curation.knowledge.sample import Captions, Element, Fact, KnowledgeSample, Truth, load_of
from curation.knowledge.scenes import Scene, scene
from curation.knowledge.typeset import Line, bounds, draw_block, fitted

SIZES_PX: tuple[tuple[int, int], ...] = ((384, 384), (512, 384), (512, 512), (640, 480), (768, 512), (480, 640))
Corner = tuple[Px, Px]
Quad = tuple[Corner, Corner, Corner, Corner]
"""Corners in pixels: top left, top right, bottom right, bottom left."""


class _Thing(NamedTuple):
    """A kind of thing with text on it; `aspect` is width over height."""

    words: Words
    aspect: float
    roles: tuple[Role, ...]
    texts: tuple[PhraseKind, ...]
    """One text a line of the layout: a large one, then smaller ones."""
    radius: float
    """Of the corners, as a share of the height."""
    leaf: str
    """Leaf of the taxonomy."""
    has_frame: bool


_THINGS: tuple[_Thing, ...] = (
    _Thing(Words("a sign", "标牌"), 2.0, ("body", "display"), ("sign",), 0.12, "typography/signage", has_frame=True),
    _Thing(Words("a shop sign", "店铺招牌"), 3.0, ("display", "script"), ("sign",), 0.05, "typography/signage", has_frame=True),
    _Thing(
        Words("a poster", "海报"),
        0.7,
        ("display", "script"),
        ("poster", "poster_line", "poster_line"),
        0.0,
        "posters/event_poster",
        has_frame=False,
    ),
    _Thing(
        Words("a paper label", "纸质标签"),
        1.5,
        ("body", "script"),
        ("sign", "poster_line"),
        0.08,
        "products/packaging",
        has_frame=True,
    ),
    _Thing(
        Words("a book cover", "书籍封面"),
        0.72,
        ("display", "body"),
        ("poster", "poster_line"),
        0.02,
        "posters/book_album_cover",
        has_frame=True,
    ),
)


class _Board(NamedTuple):
    image: Image.Image
    fill: Colour
    ink: Colour
    font: Font
    texts: tuple[str, ...]
    boxes: tuple[Box, ...]


def draw(seed: int, index: int) -> KnowledgeSample:
    """One thing with text, in a scene."""
    stream = draws("composed_text", seed, index)
    language: Language = stream.choice(("en", "zh"))
    background = scene(stream, stream.choice(SIZES_PX))
    thing = stream.choice(_THINGS)
    board, num_dropped = _board(stream, thing, language, background.image.size)
    quad = _quad(stream, board.image.size, background.image.size)
    image = put_on(background.image, board.image, quad)
    elements = tuple(
        Element(kind="text", text=text, box=_mapped(box, board.image.size, quad))
        for text, box in zip(board.texts, board.boxes, strict=True)
    )
    facts = (
        Fact(name="language", value=language), Fact(name="font", value=board.font.family), Fact(name="thing", value=thing.words.en),
        Fact(name="texts_dropped_for_missing_glyphs", value=num_dropped),
    )  # fmt: skip
    return KnowledgeSample(
        id=f"composed_text/{seed}/{index}",
        pixels=np.asarray(image),
        captions_en=_captions_en(thing, board, background),
        captions_zh=_captions_zh(thing, board, background),
        truth=Truth(elements=elements, facts=facts),
        load=load_of(elements, width_px=image.width, height_px=image.height),
        concept=f"text/{' '.join(board.texts)}",
        leaf=thing.leaf,
        licence="CC0-1.0",
        attribution=f"text and scene by Seedbed; {FONT_LICENCES}",
    )


def put_on(background: Image.Image, flat: Image.Image, quad: Quad) -> Image.Image:
    """The flat picture (RGBA) mapped onto a quadrilateral of the background, with a soft shadow below it."""
    coefficients = _perspective(quad, flat.size)
    warped = flat.transform(background.size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)
    alpha = warped.getchannel("A")
    offset = max(2, background.height // 110)
    shadow = Image.new("L", background.size)
    shadow.paste(alpha.point(lambda value: value * 0.45), (offset, offset))
    image = background.copy()
    image.paste((10, 10, 12), (0, 0), shadow.filter(ImageFilter.GaussianBlur(offset)))
    image.paste(warped.convert("RGB"), (0, 0), alpha)
    return image


def _board(stream: Random, thing: _Thing, language: Language, page_px: tuple[int, int]) -> tuple[_Board, int]:
    """The thing drawn flat, at twice the size it will have, so that the mapping only ever shrinks it."""
    height = round(2 * min(page_px[1] * 0.72, page_px[0] * 0.8 / thing.aspect))
    width = round(height * thing.aspect)
    fill = stream.choice(SURFACES)
    ink = readable_ink(stream, fill.rgb)
    font = pick_font(stream, language, *thing.roles)
    texts, num_dropped = _texts(stream, thing, language, font)
    image = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    radius = round(thing.radius * height)
    pen.rounded_rectangle([0, 0, width - 1, height - 1], radius=radius, fill=fill.rgb)
    if thing.has_frame:
        inset, line = height // 30, max(2, height // 70)
        pen.rounded_rectangle(
            [inset, inset, width - inset - 1, height - inset - 1], radius=max(0, radius - inset), outline=ink.rgb, width=line
        )
    boxes = _written(image, texts, font, ink)
    return _Board(image, fill, ink, font, texts, boxes), num_dropped


def _texts(stream: Random, thing: _Thing, language: Language, font: Font) -> tuple[tuple[str, ...], int]:
    texts: list[str] = []
    num_dropped = 0
    for kind in thing.texts:
        text, dropped = writable(font, lambda kind=kind: phrase(stream, language, kind))
        num_dropped += dropped
        if text not in texts:
            texts.append(text)
    return tuple(texts), num_dropped


def _written(image: Image.Image, texts: tuple[str, ...], font: Font, ink: Colour) -> tuple[Box, ...]:
    width, height = image.size
    margin = round(min(width, height) * 0.1)
    shares = (1.0,) if len(texts) == 1 else (0.62, *((0.38 / (len(texts) - 1),) * (len(texts) - 1)))
    top, boxes = float(margin), []
    for place, (text, share) in enumerate(zip(texts, shares, strict=True)):
        room = (height - 2 * margin) * share
        largest = round(height * (0.5 if place == 0 else 0.09))
        block = fitted(text, font, (width - 2 * margin, room * 0.86), largest_px=largest, leading=1.2)
        assert block is not None, (text, font.family, image.size)
        lines: tuple[Line, ...] = draw_block(
            image, block, (margin, top + (room - block.height_px) / 2, width - 2 * margin), ink=ink.rgb, align="centre"
        )
        boxes.append(bounds(lines))
        top += room
    return tuple(boxes)


def _quad(stream: Random, flat_px: tuple[int, int], page_px: tuple[int, int]) -> Quad:
    """Where the thing stands: near the middle, turned to one side so that the far edge is shorter, and a little rotated."""
    width, height = flat_px[0] / 2, flat_px[1] / 2
    turn, tilt = stream.uniform(-0.12, 0.12), stream.uniform(-0.05, 0.05)
    left = (page_px[0] - width) / 2 + stream.uniform(-0.3, 0.3) * (page_px[0] - width)
    top = (page_px[1] - height) / 2 + stream.uniform(-0.25, 0.25) * (page_px[1] - height)
    shrink_left, shrink_right = max(0.0, turn) * height / 2, max(0.0, -turn) * height / 2
    narrow = abs(turn) * width * 0.5
    middle = (left + width / 2, top + height / 2)
    corners = (
        (left + narrow / 2, top + shrink_left), (left + width - narrow / 2, top + shrink_right),
        (left + width - narrow / 2, top + height - shrink_right), (left + narrow / 2, top + height - shrink_left),
    )  # fmt: skip
    turned = [
        (middle[0] + (x - middle[0]) - tilt * (y - middle[1]), middle[1] + (y - middle[1]) + tilt * (x - middle[0]))
        for x, y in corners
    ]
    return (turned[0], turned[1], turned[2], turned[3])


def _perspective(quad: Quad, flat_px: tuple[int, int]) -> tuple[float, ...]:
    """The eight coefficients that take scene coordinates to the flat picture's, as PIL's transform wants them."""
    return tuple(_homography(quad, _corners(flat_px)).tolist())


def _mapped(box: Box, flat_px: tuple[int, int], quad: Quad) -> Box:
    """The upright box around a box of the flat picture after the mapping."""
    a, b, c, d, e, f, g, h = _homography(_corners(flat_px), quad).tolist()
    left, top, right, bottom = box
    points = [((a * x + b * y + c) / (g * x + h * y + 1), (d * x + e * y + f) / (g * x + h * y + 1))
              for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))]  # fmt: skip
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return (round(min(xs), 1), round(min(ys), 1), round(max(xs), 1), round(max(ys), 1))


def _corners(flat_px: tuple[int, int]) -> Quad:
    width, height = flat_px
    return ((0.0, 0.0), (float(width), 0.0), (float(width), float(height)), (0.0, float(height)))


def _homography(source: Quad, target: Quad) -> Float[np.ndarray, "8"]:
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows, dtype=np.float64), np.array(values, dtype=np.float64))


def _captions_en(thing: _Thing, board: _Board, background: Scene) -> Captions:
    first, *rest = board.texts
    noun = thing.words.en.removeprefix("a ")
    smaller = f", and below it in smaller letters {' and '.join(f'{chr(34)}{text}{chr(34)}' for text in rest)}" if rest else ""
    return Captions(
        f'{noun} reading "{first}"',
        f'{thing.words.en.capitalize()} that reads "{first}" in front of {background.en}.',
        f"{thing.words.en.capitalize()} with {english.indefinite(board.fill.en + ' ground')} in front of {background.en}, seen at a slight angle. "
        f'It reads "{first}" in {board.ink.en} {board.font.en} letters{smaller}.',
    )


def _captions_zh(thing: _Thing, board: _Board, background: Scene) -> Captions:
    first, *rest = board.texts
    smaller = f"，其下用较小的字写着{'和'.join(f'“{text}”' for text in rest)}" if rest else ""
    return Captions(
        f"写着“{first}”的{thing.words.zh}",
        f"{background.zh}前的{thing.words.zh}，上面写着“{first}”。",
        f"{background.zh}前略微倾斜的{board.fill.zh}底{thing.words.zh}，用{board.ink.zh}{board.font.zh}写着“{first}”{smaller}。",
    )


def compose(
    background: UInt8[np.ndarray, "y x 3"], *, seed: int, index: int, language: Language
) -> tuple[UInt8[np.ndarray, "y x 3"], tuple[Element, ...]]:
    """A thing with text put onto a picture of one's own, at least 256 pixels on each side, with the text and its boxes."""
    stream = draws("compose", seed, index)
    picture = Image.fromarray(background)
    board, _ = _board(stream, stream.choice(_THINGS), language, picture.size)
    quad = _quad(stream, board.image.size, picture.size)
    elements = tuple(
        Element(kind="text", text=text, box=_mapped(box, board.image.size, quad))
        for text, box in zip(board.texts, board.boxes, strict=True)
    )
    return np.asarray(put_on(picture, board.image, quad)), elements
