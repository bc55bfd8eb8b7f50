"""Surfaces to draw on: plain, graded, grained, ruled, squared, a chalkboard, a blueprint.

Grain is low-pass filtered white noise, which is what paper fibres look like from a distance.
"""

from random import Random
from typing import Literal, NamedTuple, get_args

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from curation.knowledge.draws import noise_source
from curation.knowledge.palette import INKS, SURFACES, Colour, contrast

PaperKind = Literal["plain", "grained", "graded", "ruled", "squared", "chalkboard", "blueprint"]
PAPERS: tuple[PaperKind, ...] = get_args(PaperKind)


class Paper(NamedTuple):
    """A surface with its names, and the inks that can be read on all of it."""

    image: Image.Image
    en: str
    """Noun phrase with article: "a cream sheet of ruled paper"."""
    zh: str
    inks: tuple[Colour, ...]


def paper(stream: Random, kind: PaperKind, size_px: tuple[int, int]) -> Paper:
    """A surface of (width, height)."""
    match kind:
        case "plain":
            return _plain(stream, size_px)
        case "grained":
            return _grained(stream, size_px)
        case "graded":
            return _graded(stream, size_px)
        case "ruled" | "squared":
            return _lined(stream, size_px, is_squared=kind == "squared")
        case "chalkboard":
            return _chalkboard(stream, size_px)
        case "blueprint":
            return _blueprint(size_px)


def _plain(stream: Random, size_px: tuple[int, int]) -> Paper:
    surface = SURFACES[0] if stream.random() < 0.4 else stream.choice(SURFACES)
    image = Image.new("RGB", size_px, surface.rgb)
    return Paper(image, f"a plain {surface.en} background", f"纯{surface.zh}背景", _inks_on(surface))


def _grained(stream: Random, size_px: tuple[int, int]) -> Paper:
    surface = stream.choice(SURFACES[:7])
    image = _with_grain(stream, Image.new("RGB", size_px, surface.rgb), strength=3.0)
    return Paper(image, f"{surface.en} textured paper", f"有纹理的{surface.zh}纸", _inks_on(surface))


def _graded(stream: Random, size_px: tuple[int, int]) -> Paper:
    pale = SURFACES[:7]
    first, second = stream.sample(pale, 2)
    share = np.linspace(0, 1, size_px[1])[:, None, None]
    rows = (1 - share) * np.array(first.rgb) + share * np.array(second.rgb)
    pixels = np.broadcast_to(rows, (size_px[1], size_px[0], 3)).astype(np.uint8)
    inks = tuple(ink for ink in _inks_on(first) if ink in _inks_on(second))
    return Paper(
        Image.fromarray(pixels),
        f"a background fading from {first.en} to {second.en}",
        f"由{first.zh}渐变到{second.zh}的背景",
        inks,
    )


def _lined(stream: Random, size_px: tuple[int, int], *, is_squared: bool) -> Paper:
    surface = stream.choice((SURFACES[0], SURFACES[1], SURFACES[6]))
    image = Image.new("RGB", size_px, surface.rgb)
    drawing = ImageDraw.Draw(image)
    step = max(14, size_px[1] // stream.randint(14, 22))
    line = (190, 210, 232)
    for y in range(step, size_px[1], step):
        drawing.line([(0, y), (size_px[0], y)], fill=line)
    for x in range(step, size_px[0], step) if is_squared else ():
        drawing.line([(x, 0), (x, size_px[1])], fill=line)
    kind = ("squared", "方格") if is_squared else ("ruled", "横线")
    return Paper(image, f"{surface.en} {kind[0]} paper", f"{surface.zh}{kind[1]}纸", _inks_on(surface))


def _chalkboard(stream: Random, size_px: tuple[int, int]) -> Paper:
    board = Colour("dark green", "墨绿色", (30, 62, 50)) if stream.random() < 0.6 else Colour("black", "黑色", (34, 36, 38))
    image = _with_grain(stream, Image.new("RGB", size_px, board.rgb), strength=3.0)
    frame = max(4, min(size_px) // 40)
    ImageDraw.Draw(image).rectangle([0, 0, size_px[0] - 1, size_px[1] - 1], outline=(134, 92, 52), width=frame)
    chalk = tuple(ink for ink in INKS if ink.en in ("white", "yellow", "pink", "light blue", "light green"))
    return Paper(image, f"a {board.en} chalkboard with a wooden frame", f"木框的{board.zh}黑板", chalk)


def _blueprint(size_px: tuple[int, int]) -> Paper:
    image = Image.new("RGB", size_px, (22, 62, 128))
    drawing = ImageDraw.Draw(image)
    step = max(16, size_px[1] // 16)
    for y in range(step, size_px[1], step):
        drawing.line([(0, y), (size_px[0], y)], fill=(40, 84, 152))
    for x in range(step, size_px[0], step):
        drawing.line([(x, 0), (x, size_px[1])], fill=(40, 84, 152))
    inks = tuple(ink for ink in INKS if ink.en in ("white", "light blue", "yellow"))
    return Paper(image, "a blueprint grid", "蓝图网格纸", inks)


def _with_grain(stream: Random, image: Image.Image, *, strength: float) -> Image.Image:
    width, height = image.size
    noise = gaussian_filter(noise_source(stream).standard_normal((height, width)).astype(np.float32), 1.2)
    grain = noise / noise.std() * strength
    return Image.fromarray(np.clip(np.asarray(image, dtype=np.float32) + grain[:, :, None], 0, 255).astype(np.uint8))


def _inks_on(surface: Colour) -> tuple[Colour, ...]:
    return tuple(ink for ink in INKS if contrast(ink.rgb, surface.rgb) >= 5.5)
