"""Backgrounds to put things on: walls, boards, landscapes and lights, painted from noise and shapes."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter

from curation.knowledge.draws import noise_source
from curation.knowledge.palette import Rgb


class Scene(NamedTuple):
    """A background and its names, as noun phrases with article."""

    image: Image.Image
    en: str
    zh: str


def scene(stream: Random, size_px: tuple[int, int]) -> Scene:
    """A background of (width, height)."""
    return stream.choice(_SCENES)(stream, size_px)


def _bricks(stream: Random, size_px: tuple[int, int]) -> Scene:
    words, base = stream.choice((
        (("a red brick wall", "红砖墙"), (158, 76, 58)), (("a grey brick wall", "灰砖墙"), (128, 126, 124)),
        (("a white painted brick wall", "白漆砖墙"), (222, 218, 210)),
    ))  # fmt: skip
    width, height = size_px
    image = Image.new("RGB", size_px, _shaded(base, 0.78))
    pen = ImageDraw.Draw(image)
    tall, joint = max(10, height // 18), max(2, height // 200)
    for row in range(height // tall + 1):
        for column in range(-1, width // (tall * 2) + 2):
            left, top = column * tall * 2 + (row % 2) * tall, row * tall
            fill = _shaded(base, stream.uniform(0.9, 1.08))
            pen.rectangle([left + joint, top + joint, left + tall * 2 - joint, top + tall - joint], fill=fill)
    return Scene(_grained(stream, image, 7.0, (1.0, 1.0)), *words)


def _planks(stream: Random, size_px: tuple[int, int]) -> Scene:
    words, base = stream.choice((
        (("a wall of brown wooden planks", "棕色木板墙"), (132, 92, 58)), (("a wall of blue wooden planks", "蓝色木板墙"), (70, 110, 140)),
        (("a wall of pale wooden planks", "浅色木板墙"), (206, 180, 144)),
    ))  # fmt: skip
    width, height = size_px
    image = Image.new("RGB", size_px, base)
    pen = ImageDraw.Draw(image)
    step = max(24, width // 9)
    for left in range(0, width, step):
        pen.rectangle([left, 0, left + step, height], fill=_shaded(base, stream.uniform(0.9, 1.06)))
        pen.line([(left, 0), (left, height)], fill=_shaded(base, 0.6), width=max(1, width // 250))
    return Scene(_grained(stream, image, 9.0, (14.0, 0.6)), *words)


def _concrete(stream: Random, size_px: tuple[int, int]) -> Scene:
    tone = stream.randint(138, 176)
    image = _grained(stream, Image.new("RGB", size_px, (tone, tone, tone - 4)), 9.0, (6.0, 6.0))
    return Scene(_grained(stream, image, 4.0, (0.8, 0.8)), "a concrete wall", "混凝土墙")


def _hills(stream: Random, size_px: tuple[int, int]) -> Scene:
    width, height = size_px
    is_evening = stream.random() < 0.4
    upper, lower = ((52, 60, 120), (250, 172, 120)) if is_evening else ((92, 160, 226), (214, 234, 248))
    image = _graded(size_px, upper, lower)
    pen = ImageDraw.Draw(image)
    for layer in range(4):
        base = (60, 74, 96) if is_evening else (74, 138, 84)
        fill = _shaded(base, 1.35 - 0.22 * layer)
        phase, waves = stream.uniform(0, 6.3), stream.uniform(1.0, 2.2)
        x = np.arange(width + 1)
        y = height * (0.5 + 0.12 * layer) + np.sin(x / width * 6.28 * waves + phase) * height * 0.06
        pen.polygon([(0, height), *zip(x.tolist(), y.tolist(), strict=True), (width, height)], fill=fill)
    words = ("hills in the evening light", "傍晚的山丘") if is_evening else ("green hills under a blue sky", "蓝天下的青山")
    return Scene(_grained(stream, image, 2.0, (0.7, 0.7)), *words)


def _lights(stream: Random, size_px: tuple[int, int]) -> Scene:
    width, height = size_px
    image = _graded(size_px, (16, 20, 44), (44, 30, 58))
    pen = ImageDraw.Draw(image, "RGBA")
    for _ in range(36):
        x, y, r = stream.uniform(0, width), stream.uniform(0, height), stream.uniform(0.015, 0.06) * height
        colour = stream.choice(((255, 190, 90), (255, 120, 110), (120, 190, 255), (255, 240, 190)))
        pen.ellipse([x - r, y - r, x + r, y + r], fill=(*colour, stream.randint(50, 130)))
    image = image.filter(ImageFilter.GaussianBlur(max(1.0, height / 180)))
    return Scene(image, "blurred city lights at night", "夜晚虚化的城市灯光")


def _sea(stream: Random, size_px: tuple[int, int]) -> Scene:
    width, height = size_px
    horizon = round(height * stream.uniform(0.4, 0.55))
    image = _graded(size_px, (120, 184, 232), (232, 240, 244))
    image.paste(_graded((width, height - horizon), (38, 108, 150), (18, 70, 112)), (0, horizon))
    pixels = np.asarray(image, dtype=np.float32)
    waves = _noise(stream, (height - horizon, width), (0.8, 9.0)) * 9.0
    pixels = pixels.copy()
    pixels[horizon:] += waves[:, :, None]
    return Scene(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), "a calm blue sea", "平静的蓝色大海")


_SCENES: tuple[Callable[[Random, tuple[int, int]], Scene], ...] = (_bricks, _planks, _concrete, _hills, _lights, _sea)


def _graded(size_px: tuple[int, int], upper: Rgb, lower: Rgb) -> Image.Image:
    share = np.linspace(0, 1, size_px[1])[:, None, None]
    rows = (1 - share) * np.array(upper) + share * np.array(lower)
    return Image.fromarray(np.broadcast_to(rows, (size_px[1], size_px[0], 3)).astype(np.uint8))


def _grained(stream: Random, image: Image.Image, strength: float, reach_px: tuple[float, float]) -> Image.Image:
    noise = _noise(stream, (image.height, image.width), reach_px) * strength
    return Image.fromarray((np.asarray(image, dtype=np.float32) + noise[:, :, None]).clip(0, 255).astype(np.uint8))


def _noise(stream: Random, shape: tuple[int, int], reach_px: tuple[float, float]) -> Float[np.ndarray, "y x"]:
    """Smooth noise of unit variance; `reach_px` is its extent down and across."""
    field = gaussian_filter(noise_source(stream).standard_normal(shape).astype(np.float32), reach_px)
    return field / (field.std() + 1e-6)


def _shaded(colour: Rgb, factor: float) -> Rgb:
    red, green, blue = (min(255, round(part * factor)) for part in colour)
    return red, green, blue
