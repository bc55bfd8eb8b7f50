"""The fonts that pip packages ship, by family, with what each can write.

Packages are located, never imported. A text is set in a font only when its character map holds every character: a box in place of
a glyph would be a wrong caption that a model sees thousands of times.
"""

from functools import cache, lru_cache
from importlib.metadata import distribution
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

from fontTools.ttLib import TTFont
from PIL import ImageFont

Language = Literal["en", "zh"]
Role = Literal["body", "display", "script", "code"]


class Font(NamedTuple):
    """One font file; `weight` is an axis value for variable fonts, 0 for fixed ones."""

    family: str
    en: str
    zh: str
    languages: tuple[Language, ...]
    role: Role
    package: str
    file: str
    weight: int = 0

    @property
    def path(self) -> Path:
        """Where the package keeps the file."""
        return _located(self.package, self.file)


_LATIN: tuple[Language, ...] = ("en",)
_BOTH: tuple[Language, ...] = ("en", "zh")
_DEJAVU = "matplotlib/mpl-data/fonts/ttf"

FONTS: tuple[Font, ...] = (
    Font("Noto Sans SC", "sans-serif", "黑体", _BOTH, "body", "pylopdf-fonts-zh-cn", "pylopdf_fonts_zh_cn/NotoSansSC-Regular.otf"),
    Font("Noto Serif SC", "serif", "宋体", _BOTH, "body", "pylopdf-fonts-zh-cn", "pylopdf_fonts_zh_cn/NotoSerifSC-Regular.otf"),
    Font("DejaVu Sans", "sans-serif", "无衬线体", _LATIN, "body", "matplotlib", f"{_DEJAVU}/DejaVuSans.ttf"),
    Font("DejaVu Sans Bold", "bold sans-serif", "粗无衬线体", _LATIN, "display", "matplotlib", f"{_DEJAVU}/DejaVuSans-Bold.ttf"),
    Font("DejaVu Serif", "serif", "衬线体", _LATIN, "body", "matplotlib", f"{_DEJAVU}/DejaVuSerif.ttf"),
    Font("DejaVu Sans Mono", "monospaced", "等宽字体", _LATIN, "code", "matplotlib", f"{_DEJAVU}/DejaVuSansMono.ttf"),
    Font("Inter", "clean sans-serif", "无衬线体", _LATIN, "body", "fontpkg-inter", "fontpkg_inter/files/Inter[opsz,wght].ttf", 400),
    Font("Inter Bold", "bold sans-serif", "粗无衬线体", _LATIN, "display", "fontpkg-inter", "fontpkg_inter/files/Inter[opsz,wght].ttf", 800),
    Font("Merriweather", "book serif", "书籍衬线体", _LATIN, "body", "fontpkg-merriweather",
         "fontpkg_merriweather/files/Merriweather[opsz,wdth,wght].ttf"),
    Font("Playfair Display", "elegant serif", "优雅的衬线体", _LATIN, "display", "fontpkg-playfair-display",
         "fontpkg_playfair_display/files/PlayfairDisplay[wght].ttf", 700),
    Font("Oswald", "condensed sans-serif", "窄体无衬线字", _LATIN, "display", "fontpkg-oswald", "fontpkg_oswald/files/Oswald[wght].ttf", 500),
    Font("Abril Fatface", "heavy Didone serif", "粗重的迪多体", _LATIN, "display", "fontpkg-abril-fatface",
         "fontpkg_abril_fatface/files/AbrilFatface-Regular.ttf"),
    Font("Lobster", "bold brush script", "粗笔刷手写体", _LATIN, "script", "fontpkg-lobster", "fontpkg_lobster/files/Lobster-Regular.ttf"),
    Font("Pacifico", "rounded brush script", "圆润笔刷手写体", _LATIN, "script", "fontpkg-pacifico", "fontpkg_pacifico/files/Pacifico-Regular.ttf"),
    Font("Caveat", "handwritten", "手写体", _LATIN, "script", "fontpkg-caveat", "fontpkg_caveat/files/Caveat[wght].ttf", 600),
    Font("Dancing Script", "flowing script", "流畅的花体", _LATIN, "script", "fontpkg-dancing-script",
         "fontpkg_dancing_script/files/DancingScript[wght].ttf", 600),
    Font("JetBrains Mono", "monospaced", "等宽字体", _LATIN, "code", "fontpkg-jetbrains-mono",
         "fontpkg_jetbrains_mono/files/JetBrainsMono[wght].ttf", 500),
    Font("Press Start 2P", "pixel", "像素字体", _LATIN, "display", "fontpkg-press-start-2p",
         "fontpkg_press_start_2p/files/PressStart2P-Regular.ttf"),
)  # fmt: skip
FONT_LICENCES = "fonts: OFL-1.1 and the DejaVu licence"


def fonts_for(language: Language, *roles: Role) -> list[Font]:
    """Fonts that are made for a language and a use, in the order of `FONTS`; Chinese has body faces only, which serve for all."""
    wanted = roles if language == "en" else ()
    return [font for font in FONTS if language in font.languages and (not wanted or font.role in wanted)]


def pick_font(stream: Random, language: Language, *roles: Role) -> Font:
    """One of `fonts_for`."""
    return stream.choice(fonts_for(language, *roles))


def missing_glyphs(font: Font, text: str) -> str:
    """The characters of the text that the font cannot write, each once; blanks need no glyph."""
    glyphs = _glyphs(font)
    return "".join(sorted({character for character in text if not character.isspace() and ord(character) not in glyphs}))


def loaded(font: Font, size_px: int) -> ImageFont.FreeTypeFont:
    """The font at a size; kept for the process."""
    return _loaded(font, size_px)


@lru_cache(maxsize=512)
def _loaded(font: Font, size_px: int) -> ImageFont.FreeTypeFont:
    face = ImageFont.truetype(str(font.path), size_px)
    if font.weight:
        default = {axis.get("name"): axis["default"] or 0 for axis in face.get_variation_axes()}
        face.set_variation_by_axes([font.weight if name == b"Weight" else value for name, value in default.items()])
    return face


@cache
def _glyphs(font: Font) -> frozenset[int]:
    with TTFont(font.path, lazy=True) as face:
        glyphs = face.getBestCmap()
    assert glyphs, f"{font.path} has no Unicode character map"
    return frozenset(glyphs)


@cache
def _located(package: str, file: str) -> Path:
    return Path(str(distribution(package).locate_file(file)))
