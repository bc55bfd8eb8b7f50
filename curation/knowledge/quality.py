"""Whether a knowledge picture is any good, and how hard it is: two small networks on measures of the picture.

* Quality tells good pictures from blurred, noisy, cluttered, faint and cut ones; it is trained on drawn pictures and on the same
  with scripted flaws (`curation.knowledge.degradations`).
* Difficulty (easy, medium, hard) is cut from the strain of a picture, which is known exactly for drawn ones (`strain_of`) and learned
  from pixels, so that figures out of PDFs, whose load nobody knows, are rated on the same scale.

Both are one hidden layer of 24 on 27 measures, small enough to keep in ``quality.safetensors``; how right they are is in
``quality.json`` (98 % of good and flawed pictures told apart, 93 % on generators never seen in training; 81 % of levels exact and
0.3 % off by two, 57 % and 11 % on generators never seen), and ``python -m curation.knowledge.quality_training`` makes both files.
Hard pictures are down-sampled by a keyed draw, as Seedream 4.0 does with extreme difficulty (arXiv:2509.20427).

y, x pixels
"""

import hashlib
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from pydantic import BaseModel, Field
from safetensors.numpy import load_file
from scipy.ndimage import find_objects, gaussian_filter, label, laplace, sobel

from curation.knowledge.sample import Load
from curation.splits import unit_draw

Difficulty = Literal["easy", "medium", "hard"]
DIFFICULTIES: tuple[Difficulty, ...] = get_args(Difficulty)
NUM_MEASURES = 27
VIEW_PX = 256
"""Longer side of the reduced view that coarse measures are taken on."""
LETTER_PX = 16.0
"""Reach of the surroundings that ink is told from."""
LETTER_LEVELS = 30.0
"""Least difference of ink from its surroundings, of 255 levels."""
WEIGHTS = Path(__file__).with_name("quality.safetensors")


def ratings_version() -> str:
    """Digest of the code and weights that `rate` depends on."""
    parts = [path.read_bytes() for path in (Path(__file__), WEIGHTS)]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


class KeepRates(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Share of pictures of each difficulty that stay."""

    easy: float = Field(default=1.0, ge=0, le=1)
    """Of easy ones."""
    medium: float = Field(default=1.0, ge=0, le=1)
    """Of medium ones."""
    hard: float = Field(default=0.3, ge=0, le=1)
    """Of hard ones."""


class Rating(NamedTuple):
    """What the classifiers say of one picture."""

    low_quality: float
    """Probability in [0, 1] that the picture is worthless."""
    difficulty: Difficulty
    strain: float
    """The rated `strain_of` that the difficulty is cut from."""


def strain_of(load: Load) -> float:
    """How hard a drawn picture is, by its number of characters or the smallness of its letters, whichever is worse.

    0 at 40 characters or letters of 18 pixels, 1 at 130 characters or letters of 12 pixels, logarithmic between and beyond: a token
    of 32 pixels holds two rows of such letters. Elements and density were tried beside these two; they mean different things from
    generator to generator, and a rating learned with them carried over worse (52 % against 59 % of levels on generators
    never seen, 60 pictures each).
    """
    characters = math.log2(max(load.num_characters, 1) / 40) / math.log2(130 / 40)
    letters = math.log2(18 / load.smallest_text_px) / math.log2(18 / 12) if load.smallest_text_px else -math.inf
    return max(characters, letters)


def difficulty_of(strain: float) -> Difficulty:
    """The level of a strain: easy up to 0, hard above 1."""
    return "easy" if strain <= 0 else "hard" if strain > 1 else "medium"


def is_kept(row_id: str, difficulty: Difficulty, rates: KeepRates, *, seed: int = 0) -> bool:
    """Whether a picture survives down-sampling; the same for the same row on every worker."""
    rate: float = getattr(rates, difficulty)
    return unit_draw("difficulty", seed, row_id) < rate


def rate(pixels: UInt8[np.ndarray, "y x 3"]) -> Rating:
    """Quality and difficulty of a picture from its pixels."""
    weights = _weights()
    measures = measured(pixels)
    odds = float(network(measures, weights, "quality"))
    strain = float(network(measures, weights, "strain"))
    return Rating(1 / (1 + math.exp(-odds)), difficulty_of(strain), strain)


def network(measures: Float[np.ndarray, "*n f"], weights: Mapping[str, np.ndarray], head: str) -> Float[np.ndarray, "*n"]:
    """One head on measures: log odds of "quality", or "strain". Scaled inputs are kept within four deviations, beyond which nothing
    was seen in training.
    """
    scaled = ((measures - weights["mean"]) / weights["scale"]).clip(-4, 4)
    hidden = np.maximum(scaled @ weights[f"{head}.hidden.weight"].T + weights[f"{head}.hidden.bias"], 0)
    return (hidden @ weights[f"{head}.out.weight"].T + weights[f"{head}.out.bias"])[..., 0]


def measured(pixels: UInt8[np.ndarray, "y x 3"]) -> Float[np.ndarray, "27"]:
    """Measures of sharpness, noise, contrast, colour, ink and layout; fp32, finite."""
    grey = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    height, width = grey.shape
    fine = np.abs(laplace(grey))
    edges = np.hypot(sobel(grey, axis=0), sobel(grey, axis=1)) / 4
    view = _view(grey)
    ink = _ink(view)
    low, high = np.percentile(grey, (1, 99))
    residue = np.abs(grey - gaussian_filter(grey, 1.0))
    rows, columns = ink.mean(axis=1), ink.mean(axis=0)
    border = np.concatenate([ink[:2].ravel(), ink[-2:].ravel(), ink[:, :2].ravel(), ink[:, -2:].ravel()])
    values = [
        math.log1p(float(fine.var())), math.log1p(float(fine.mean())), math.log1p(float(np.percentile(edges, 99))),
        math.log1p(float(edges.max())), float((edges > 20).mean()), float(np.percentile(edges, 99) / (np.percentile(fine, 99) + 1)),
        math.log1p(float(np.median(residue))), math.log1p(float(residue.mean())), (high - low) / 255, float(grey.std()) / 128,
        _entropy(grey), float(pixels.std(axis=2).mean()) / 64, float(ink.mean()), float(border.mean()),
        float(np.abs(np.diff(ink.astype(np.int8), axis=1)).mean()), float(np.abs(np.diff(ink.astype(np.int8), axis=0)).mean()),
        float((rows > 0.01).mean()), float((columns > 0.01).mean()), _num_runs(rows) / 10, math.log(width * height) - 12,
        *_parts(grey),
    ]  # fmt: skip
    return np.array(values, dtype=np.float32)


def _parts(grey: Float[np.ndarray, "y x"]) -> tuple[float, ...]:
    """Connected pieces of ink as stand-ins for letters: how many, how dense, how high and how wide."""
    marks = np.zeros(grey.shape, dtype=np.int32)
    label(np.abs(grey - gaussian_filter(grey, LETTER_PX)) > LETTER_LEVELS, structure=np.ones((3, 3)), output=marks)
    spans = [(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in find_objects(marks)]
    sizes = np.array([span for span in spans if max(span) >= 4], dtype=np.float32).reshape(-1, 2)
    if not len(sizes):
        return (0.0,) * 7
    heights, widths = sizes[:, 0], sizes[:, 1]
    low, middle, high = np.log(np.percentile(heights, (10, 50, 90))).tolist()
    letters = int(((heights < 64) & (widths < 3 * heights)).sum())
    return (
        math.log1p(len(sizes)), math.log1p(letters), math.log1p(len(sizes) / grey.size * 1e4), low, middle, high,
        math.log1p(int(marks.max()) - len(sizes)),
    )  # fmt: skip


def _view(grey: Float[np.ndarray, "y x"]) -> Float[np.ndarray, "view_y view_x"]:
    scale = VIEW_PX / max(grey.shape)
    size = (max(8, round(grey.shape[1] * scale)), max(8, round(grey.shape[0] * scale)))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX), dtype=np.float32)


def _ink(view: Float[np.ndarray, "y x"]) -> np.ndarray:
    """Where the picture differs from its surroundings: more than 24 levels from the local mean."""
    return np.abs(view - gaussian_filter(view, 12.0)) > 24


def _entropy(grey: Float[np.ndarray, "y x"]) -> float:
    counts, _ = np.histogram(grey, bins=64, range=(0, 256))
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) / 6


def _num_runs(profile: Float[np.ndarray, "n"]) -> int:
    """Separate bands in a profile of ink: lines of text."""
    return int((np.diff((profile > 0.02).astype(np.int8)) == 1).sum())


@cache
def _weights() -> Mapping[str, np.ndarray]:
    return load_file(WEIGHTS)
