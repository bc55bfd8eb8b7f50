"""Pictures of formulas: 25 families of true formulas and 100 famous ones, in varied layout, density, type, ink, surface and size.

Single lines are set by matplotlib's mathtext in one of five math fonts or by ziamath in STIX Two Math; matrices, cases and
aligned lines by ziamath alone, which knows them. Both give an ink mask, which is inked, jittered and laid on a surface, so that colour,
paper and type vary independently.
"""

import io
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import resvg_py
import yaml
from jaxtyping import Float, UInt8
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, map_coordinates
from ziamath.tex import tex2mml
from ziamath.zmath import Math

from curation.captions import english
from curation.knowledge.draws import draws, noise_source
from curation.knowledge.fonts import Language, loaded, pick_font
from curation.knowledge.formula_grammar import Formula, draw_formula
from curation.knowledge.geometry import Px
from curation.knowledge.palette import Colour
from curation.knowledge.paper import Paper, PaperKind, paper
from curation.knowledge.sample import Captions, Element, Fact, KnowledgeSample, Load, Truth, load_of

FAMOUS_SHARE = 0.4
"""Share of pictures that show a formula with a name."""
SIZES_PX: tuple[tuple[int, int], ...] = ((256, 128), (384, 192), (512, 256), (512, 512), (640, 360), (768, 768), (1024, 512))
_SURFACES: tuple[PaperKind, ...] = ("plain", "plain", "grained", "graded", "ruled", "squared", "chalkboard", "blueprint")
_SINGLE_LINE_ONLY = (r"\begin", r"\cfrac", r"\pmod", r"\mid", r"\operatorname", r"\binom")


_LEAVES: dict[str, str] = {
    "mathematics/linear_algebra": "mathematics/linear_algebra", "mathematics/probability": "mathematics/probability_statistics",
    "mathematics/number_theory": "mathematics/arithmetic_number", "mathematics/combinatorics": "mathematics/graph_discrete",
    "physics/mechanics": "physics/mechanics", "physics/fluids": "physics/mechanics", "physics/optics": "physics/optics",
    "physics/electromagnetism": "physics/electromagnetism", "physics/waves": "physics/waves_sound",
    "physics/thermodynamics": "physics/thermodynamics", "physics/quantum": "physics/atomic_quantum",
    "physics/astronomy": "physics/astronomy", "physics/relativity": "physics/astronomy",
}  # fmt: skip
"""Topic of a formula to leaf of the taxonomy; all others are ``mathematics/formula``."""


class _Face(NamedTuple):
    """A math font; `mathtext` is matplotlib's name for it, "" for STIX Two set by ziamath."""

    mathtext: str
    en: str
    zh: str


_FACES: tuple[_Face, ...] = (
    _Face("", "STIX Two", "STIX Two"), _Face("cm", "Computer Modern", "Computer Modern"), _Face("stix", "STIX", "STIX"),
    _Face("stixsans", "sans-serif STIX", "无衬线STIX"), _Face("dejavusans", "DejaVu Sans", "DejaVu Sans"),
    _Face("dejavuserif", "DejaVu Serif", "DejaVu Serif"),
)  # fmt: skip


class _Look(NamedTuple):
    face: _Face
    ink: Colour
    surface: Paper
    is_wavy: bool
    language: Language
    is_titled: bool
    is_boxed: bool


def famous_formulas() -> tuple[Formula, ...]:
    """The named formulas of ``famous_formulas.yaml``; their claim is their name."""
    return _famous()


def draw(seed: int, index: int) -> KnowledgeSample:
    """One picture of one to four formulas."""
    stream = draws("formulas", seed, index)
    formulas = _chosen(stream)
    look = _look(stream, formulas, stream.choice(SIZES_PX if len(formulas) == 1 else SIZES_PX[3:]))
    pixels, elements = _page(stream, formulas, look)
    load = load_of(elements, width_px=pixels.shape[1], height_px=pixels.shape[0], smallest_text_px=_smallest_px(elements))
    truth = Truth(elements=elements, facts=_facts(formulas, look))
    return KnowledgeSample(
        id=f"formulas/{seed}/{index}",
        pixels=pixels,
        captions_en=_captions_en(formulas, look),
        captions_zh=_captions_zh(formulas, look),
        truth=truth,
        load=_with_symbols(load, formulas),
        concept=f"formula/{'+'.join(formula.latex for formula in formulas)}",
        leaf=_LEAVES.get(formulas[0].leaf, "mathematics/formula"),
        licence="CC0-1.0",
        attribution="formulas drawn by Seedbed; fonts: STIX, STIX Two (OFL-1.1), DejaVu, Computer Modern",
    )


def ink_mask(formula: Formula, face_mathtext: str, size_px: Px) -> UInt8[np.ndarray, "y x"]:
    """The ink of a formula, 255 where it is full, cut to its bounds.

    Args:
        face_mathtext: a font of matplotlib's mathtext, or "" for STIX Two by ziamath, which alone knows matrices and alignment.
        size_px: height of the em square.
    """
    mask = _ziamath_mask(formula.latex, size_px) if not face_mathtext else _mathtext_mask(formula.latex, face_mathtext, size_px)
    rows, columns = np.nonzero(mask.max(axis=1) > 8)[0], np.nonzero(mask.max(axis=0) > 8)[0]
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _chosen(stream: Random) -> list[Formula]:
    if stream.random() < FAMOUS_SHARE:
        return [stream.choice(famous_formulas())]
    count = stream.choice((1, 1, 1, 2, 3, 4))
    return [draw_formula(stream) for _ in range(count)]


def _look(stream: Random, formulas: Sequence[Formula], size_px: tuple[int, int]) -> _Look:
    needs_ziamath = any(part in formula.latex for formula in formulas for part in _SINGLE_LINE_ONLY)
    surface = paper(stream, stream.choice(_SURFACES), size_px)
    black = [ink for ink in surface.inks if ink.en == "black"]
    return _Look(
        face=_FACES[0] if needs_ziamath else stream.choice(_FACES),
        ink=black[0] if black and stream.random() < 0.4 else stream.choice(surface.inks),
        surface=surface,
        is_wavy=stream.random() < 0.2,
        language=stream.choice(("en", "zh")),
        is_titled=len(formulas) == 1 and size_px[1] >= 250 and stream.random() < 0.35,
        is_boxed=len(formulas) == 1 and stream.random() < 0.15,
    )


def _page(stream: Random, formulas: Sequence[Formula], look: _Look) -> tuple[UInt8[np.ndarray, "y x 3"], tuple[Element, ...]]:
    image = look.surface.image.copy()
    width, height = image.size
    top, elements = _title(image, formulas[0], look) if look.is_titled else (0, [])
    margin = max(14, width // 16)
    band = (height - top - margin) / len(formulas)
    numbers = width // 12 if len(formulas) > 1 else 0
    fit = (width - 2 * margin - numbers, band - margin)
    masks = _fitted(formulas, look.face, fit, fill=stream.uniform(0.55, 0.95))
    for place, (formula, mask) in enumerate(zip(formulas, masks, strict=True)):
        mask = _wavy(stream, mask) if look.is_wavy else mask
        left = (width - numbers - mask.shape[1]) // 2
        upper = round(top + margin / 2 + place * band + (band - mask.shape[0]) / 2)
        image.paste(look.ink.rgb, (left, upper), Image.fromarray(mask))
        elements.append(
            Element(kind="formula", text=formula.latex, box=(left, upper, left + mask.shape[1], upper + mask.shape[0]))
        )
        if numbers:
            elements.append(_number(image, place + 1, look, upper + mask.shape[0] / 2))
    if look.is_boxed:
        pad = margin // 2
        left, upper, right, lower = elements[-1].box
        box = (left - pad, upper - pad, right + pad - 1, lower + pad - 1)
        ImageDraw.Draw(image).rectangle(box, outline=look.ink.rgb, width=max(1, height // 200))
    return np.asarray(image), tuple(elements)


def _fitted(formulas: Sequence[Formula], face: _Face, fit_px: tuple[Px, Px], *, fill: float) -> list[UInt8[np.ndarray, "y x"]]:
    """Masks of one type size, the largest at which every formula takes at most `fill` of its place."""
    trial_px = 32.0
    trials = [ink_mask(formula, face.mathtext, trial_px) for formula in formulas]
    scale = min(min(fit_px[0] * fill / mask.shape[1], fit_px[1] * fill / mask.shape[0]) for mask in trials)
    masks = [ink_mask(formula, face.mathtext, trial_px * scale) for formula in formulas]
    return [mask[: int(fit_px[1]), : int(fit_px[0])] for mask in masks]


def _title(image: Image.Image, formula: Formula, look: _Look) -> tuple[int, list[Element]]:
    stream = draws(f"title of {formula.family}", image.width, image.height)
    text = english.capitalised(formula.en) if look.language == "en" else formula.zh
    font = pick_font(stream, look.language, "body")
    size_px = image.height // 11
    while loaded(font, size_px).getlength(text) > image.width * 0.86:
        size_px -= 1
    top = image.height // 14
    box = ImageDraw.Draw(image).textbbox((image.width / 2, top), text, font=loaded(font, size_px), anchor="mt")
    ImageDraw.Draw(image).text((image.width / 2, top), text, fill=look.ink.rgb, font=loaded(font, size_px), anchor="mt")
    return round(box[3]), [Element(kind="text", text=text, box=box)]


def _number(image: Image.Image, number: int, look: _Look, middle: Px) -> Element:
    font = loaded(pick_font(draws("number", 0, 0), "en", "body"), max(11, image.height // 26))
    at = (image.width - image.width // 30, middle)
    ImageDraw.Draw(image).text(at, f"({number})", fill=look.ink.rgb, font=font, anchor="rm")
    return Element(kind="text", text=f"({number})", box=ImageDraw.Draw(image).textbbox(at, f"({number})", font=font, anchor="rm"))


def _wavy(stream: Random, mask: UInt8[np.ndarray, "y x"]) -> UInt8[np.ndarray, "padded_y padded_x"]:
    """Strokes pushed along a smooth random field (elastic distortions, Simard et al. 2003), as an unsteady hand draws."""
    pad = max(3, mask.shape[0] // 30)
    padded = np.pad(mask, pad).astype(np.float32)
    noise = noise_source(stream)
    reach = max(4.0, mask.shape[0] / 14)
    shift = [_smooth_field(noise, padded.shape, reach) * pad * 0.6 for _ in range(2)]
    grid = np.mgrid[0 : padded.shape[0], 0 : padded.shape[1]].astype(np.float32)
    moved = map_coordinates(padded, [grid[0] + shift[0], grid[1] + shift[1]], order=1)
    return moved.clip(0, 255).astype(np.uint8)


def _smooth_field(noise: np.random.Generator, shape: tuple[int, ...], reach_px: float) -> Float[np.ndarray, "y x"]:
    field = gaussian_filter(noise.standard_normal(shape).astype(np.float32), reach_px)
    return field / (np.abs(field).max() + 1e-6)


def _ziamath_mask(latex: str, size_px: Px) -> UInt8[np.ndarray, "y x"]:
    mathml = re.sub(r' rowspacing="[^"]*"', "", tex2mml(latex)).replace("<mtable", '<mtable rowspacing="0.7em"')
    mathml = mathml.replace('<mtable rowspacing="0.7em">', '<mtable rowspacing="0.5em" columnspacing="0.8em">')
    svg = Math(mathml, size=size_px, margin=size_px / 3).svg()
    png = resvg_py.svg_to_bytes(svg_string=svg)
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA").getchannel("A"))


def _mathtext_mask(latex: str, face: str, size_px: Px) -> UInt8[np.ndarray, "y x"]:
    properties = FontProperties(size=size_px, math_fontfamily=face)
    parsed = MathTextParser("agg").parse(f"${_mathtext(latex)}$", dpi=72, prop=properties)
    return np.asarray(parsed.image, dtype=np.uint8)


def _mathtext(latex: str) -> str:
    """The same formula in mathtext's dialect, which sets fractions small unless told otherwise."""
    for ours, theirs in ((r"\;", r"\ "), (r"\frac", r"\dfrac"), (r"\ge ", r"\geq "), (r"\le ", r"\leq ")):
        latex = latex.replace(ours, theirs)
    return latex


def _facts(formulas: Sequence[Formula], look: _Look) -> tuple[Fact, ...]:
    facts = [Fact(name="font", value=look.face.en), Fact(name="ink", value=look.ink.en)]
    for formula in formulas:
        facts += [Fact(name="latex", value=formula.latex), Fact(name="family", value=formula.family)]
        facts += [Fact(name="claim", value=formula.claim)] if formula.claim else []
    return tuple(facts)


def _with_symbols(load: Load, formulas: Sequence[Formula]) -> Load:
    """The load counted in symbols that are seen, which are fewer than the characters of the LaTeX."""
    num_symbols = sum(_num_symbols(formula.latex) for formula in formulas)
    density = num_symbols / (load.width_px * load.height_px / 1e4)
    return load._replace(num_characters=num_symbols, symbol_density=density)


def _num_symbols(latex: str) -> int:
    plain = [
        part for part in latex.replace("{", " ").replace("}", " ").replace("&", " ").split() if not part.startswith(r"\begin")
    ]
    return sum(1 if part.startswith("\\") else len(part) for part in plain if part not in (r"\\", r"\,", r"\;", r"\quad"))


def _smallest_px(elements: Sequence[Element]) -> Px:
    return min((element.box[3] - element.box[1]) / (1 + element.text.count(r"\\")) for element in elements)


def _captions_en(formulas: Sequence[Formula], look: _Look) -> Captions:
    names = _joined_en([_named_en(formula) for formula in formulas])
    sources = ", ".join(f"${formula.latex}$" for formula in formulas)
    wavy = ", drawn with an unsteady hand" if look.is_wavy else ""
    title = f', under the title "{english.capitalised(formulas[0].en)}"' if look.is_titled and look.language == "en" else ""
    title = f', under the Chinese title "{formulas[0].zh}"' if look.is_titled and look.language == "zh" else title
    order = f"{len(formulas)} numbered formulas one below the other: " if len(formulas) > 1 else ""
    boxed = " in a box" if look.is_boxed else ""
    return Captions(
        f"{names}, {sources}" if len(formulas) == 1 else f"{len(formulas)} formulas: {sources}",
        f"{english.capitalised(names)}, {sources}, written in {look.ink.en} on {look.surface.en}.",
        f"{english.capitalised(order + names)}, {sources}, set in the {look.face.en} math font{boxed}, in {look.ink.en} "
        f"on {look.surface.en}{title}{wavy}.",
    )


def _captions_zh(formulas: Sequence[Formula], look: _Look) -> Captions:
    names = "、".join(formula.zh for formula in formulas)
    sources = "，".join(f"${formula.latex}$" for formula in formulas)
    wavy = "，笔画略带手绘般的抖动" if look.is_wavy else ""
    title = (
        f"，标题为“{english.capitalised(formulas[0].en) if look.language == 'en' else formulas[0].zh}”" if look.is_titled else ""
    )
    order = f"自上而下编号排列的{len(formulas)}个公式：" if len(formulas) > 1 else ""
    boxed = "，带方框" if look.is_boxed else ""
    return Captions(
        f"{names}：{sources}",
        f"{look.surface.zh}上用{look.ink.zh}书写的{names}：{sources}。",
        f"{order}{look.surface.zh}上的{names}：{sources}，{look.face.zh}数学字体，{look.ink.zh}{boxed}{title}{wavy}。",
    )


def _named_en(formula: Formula) -> str:
    """The formula with its article: "the law of cosines", "a limit", "Euler's identity"."""
    if formula.family != "famous":
        return english.indefinite(formula.en)
    return formula.en if "'" in formula.en.split()[0] else f"the {formula.en}"


def _joined_en(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


@cache
def _famous() -> tuple[Formula, ...]:
    rows = yaml.safe_load(Path(__file__).with_name("famous_formulas.yaml").read_text(encoding="utf-8"))
    return tuple(Formula((latex,), en, zh, leaf, "", "famous") for _, leaf, en, zh, latex in rows)
