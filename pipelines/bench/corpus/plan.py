"""What each file of the corpus is, drawn from a seed before a pixel is touched.

Every picture is a window of one of sixteen photographs, at one of six sizes. Two windows of one photograph overlap by at most
`MAX_OVERLAP` (intersection over union): what overlaps more would be a near duplicate that the truth does not know of. Planted on
top: copies, near duplicates (smaller and recompressed), files cut short, and web pages named like pictures.

Draws use `random.Random.random` alone, whose stream Python promises to keep, so a seed gives the same plan everywhere.
"""

import random
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeVar

SEED = 20_261_125
"""The seed of the corpus that results are published on; others are for tuning."""

NUM_FILES = 2_000

_Value = TypeVar("_Value")
Kind = Literal["original", "exact", "near", "truncated", "html"]
Format = Literal["jpeg", "png", "webp"]

MAX_OVERLAP = 0.75
MIN_ZOOM, MAX_ZOOM = 0.3, 1.0
"""Side of a window, as a share of the largest window of that shape in the photograph."""

MIN_SHRINK, MAX_SHRINK = 0.6, 0.95
"""Sides of a near duplicate, as a share of its original's."""
MIN_QUALITY, MAX_QUALITY = 60, 80
"""JPEG quality of near duplicates."""

_SIZES: tuple[tuple[tuple[int, int], float], ...] = (
    ((300, 200), 0.07), ((640, 480), 0.20), ((1024, 768), 0.25), ((1280, 960), 0.20), ((1600, 1200), 0.20), ((2048, 512), 0.08),
)  # fmt: skip
_FORMATS: tuple[tuple[Format, float], ...] = (("jpeg", 0.92), ("png", 0.03), ("webp", 0.05))
_SHARES: tuple[tuple[Kind, float], ...] = (("exact", 0.092), ("near", 0.108), ("truncated", 0.012), ("html", 0.005))
_SUFFIXES = {"jpeg": "jpg", "png": "png", "webp": "webp"}
_MAX_TRIES = 2_000


class Photo(NamedTuple):
    """A photograph that windows are cut from."""

    name: str
    width_px: int
    height_px: int


class Window(NamedTuple):
    """A part of a photograph, in its pixels; corners need not be whole numbers."""

    left: float
    top: float
    right: float
    bottom: float


class Planned(NamedTuple):
    """One file."""

    name: str
    kind: Kind
    photo: str
    """"" for a web page."""
    window: Window
    size: tuple[int, int]
    """Width and height in pixels."""
    format: Format
    quality: int
    """JPEG quality; WebP files have their own in `render`."""
    kept_share: float
    """Share of the file's bytes that is kept: below 1 when it is cut short."""
    original: str
    """Name of the file that this one copies, "" when it copies none."""
    draw_seed: int
    """Seed of what is random about the pixels, or about the text of a page."""


class _Draws:
    """Random choices, of `random()` alone."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random()

    def below(self, count: int) -> int:
        return int(self._random() * count)

    def of_weights(self, weighted: Sequence[tuple[_Value, float]]) -> _Value:
        at = self._random() * sum(weight for _, weight in weighted)
        for value, weight in weighted:
            at -= weight
            if at < 0:
                return value
        return weighted[-1][0]

    def some_of(self, values: Sequence[_Value], count: int) -> list[_Value]:
        """`count` different ones, in a random order."""
        left = list(values)
        return [left.pop(self.below(len(left))) for _ in range(count)]


def plan(photos: Sequence[Photo], *, num_files: int = NUM_FILES, seed: int = SEED) -> list[Planned]:
    """The files of the corpus, in the order of their names, with all kinds mixed.

    Args:
        num_files: 2,000 have 1,566 originals, 184 copies, 216 near duplicates, 24 cut files and 10 web pages; other numbers
            have the same shares.
    """
    draws = _Draws(f"corpus/{seed}")
    counts = {kind: round(num_files * share) for kind, share in _SHARES}
    num_originals = num_files - sum(counts.values())
    windows: dict[str, list[Window]] = {photo.name: [] for photo in photos}
    turns = [photos[index % len(photos)] for index in range(num_originals)]
    originals = [_picture("original", photo, windows, draws) for photo in turns]
    cut = [_cut(_picture("truncated", photo, windows, draws), draws) for photo in turns[: counts["truncated"]]]
    pages = [_page(draws) for _ in range(counts["html"])]
    whole = draws.some_of([*originals, *cut, *pages], num_originals + len(cut) + len(pages))
    places = draws.some_of(range(num_files), num_files)
    named = [_named(one, place) for one, place in zip(whole, places, strict=False)]
    copied = [one for one in named if one.kind == "original"]
    exact = [one._replace(kind="exact", original=one.name) for one in draws.some_of(copied, counts["exact"])]
    near = [_near(one, draws) for one in draws.some_of(copied, counts["near"])]
    copies = [_named(one, place) for one, place in zip([*exact, *near], places[len(named) :], strict=True)]
    return sorted([*named, *copies], key=lambda one: one.name)


def overlap(one: Window, other: Window) -> float:
    """Intersection over union of two windows of one photograph."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    if width <= 0 or height <= 0:
        return 0.0
    areas = ((each.right - each.left) * (each.bottom - each.top) for each in (one, other))
    return width * height / (sum(areas) - width * height)


def _picture(kind: Kind, photo: Photo, taken: dict[str, list[Window]], draws: _Draws) -> Planned:
    """A window that no other of its photograph overlaps too much."""
    for _ in range(_MAX_TRIES):
        size = draws.of_weights(_SIZES)
        window = _window(photo, size, draws)
        if all(overlap(window, other) <= MAX_OVERLAP for other in taken[photo.name]):
            break
    else:
        raise AssertionError(f"no room for another window in {photo.name}, which has {len(taken[photo.name])}")
    taken[photo.name].append(window)
    file_format = draws.of_weights(_FORMATS) if kind == "original" else "jpeg"
    return Planned("", kind, photo.name, window, size, file_format, 88, 1.0, "", draws.below(2**31))


def _window(photo: Photo, size: tuple[int, int], draws: _Draws) -> Window:
    width, height = size
    scale = min(photo.width_px / width, photo.height_px / height) * draws.between(MIN_ZOOM, MAX_ZOOM)
    left = draws.between(0, photo.width_px - width * scale)
    top = draws.between(0, photo.height_px - height * scale)
    return Window(left, top, left + width * scale, top + height * scale)


def _cut(whole: Planned, draws: _Draws) -> Planned:
    return whole._replace(kept_share=draws.between(0.2, 0.95))


def _page(draws: _Draws) -> Planned:
    return Planned("", "html", "", Window(0, 0, 0, 0), (0, 0), "jpeg", 0, 1.0, "", draws.below(2**31))


def _near(original: Planned, draws: _Draws) -> Planned:
    shrink = draws.between(MIN_SHRINK, MAX_SHRINK)
    size = (round(original.size[0] * shrink), round(original.size[1] * shrink))
    quality = MIN_QUALITY + draws.below(MAX_QUALITY - MIN_QUALITY + 1)
    return original._replace(kind="near", original=original.name, size=size, format="jpeg", quality=quality)


def _named(one: Planned, place: int) -> Planned:
    return one._replace(name=f"{place:05d}.{_SUFFIXES[one.format]}")
