"""Pictures to send through an autoencoder at any size: emoji drawn at that size, knowledge pictures, photographs from packages.

Nothing is kept here and nothing is downloaded. What is smaller than asked for (photographs above 512 px, some knowledge pictures)
is enlarged: less detail, and so easier than a picture of that size would be.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from curation.decode import training_view
from curation.knowledge.kinds import KINDS, draw
from curation.sources.emoji import EmojiConfig, EmojiSource
from pipelines.bench.corpus.render import photo_paths

Pixels = UInt8[np.ndarray, "_ _ 3"]
Kind = Literal["emoji", "knowledge", "photographs"]
_EMOJI = (
    "1F34E", "1F3E0", "1F98A", "1F682", "1F46E", "1F600", "1F3B8", "1F33B",
)  # fmt: skip
"""Apple, house, fox, locomotive, police officer, face, guitar, sunflower; flat and outlined."""
_SEED = 7


def pictures(size_px: int, num_each: int, cache_dir: Path) -> dict[Kind, list[Pixels]]:
    """Squares of one size by kind, `num_each` of each, at most 16; the same every time.

    Raises:
        UserError: the packages whose photographs are used are not installed (`pip install 'seedbed[bench]'`).
    """
    knowledge = [draw(kind, _SEED, index).png() for index in (0, 1) for kind in KINDS][:num_each]
    return {
        "emoji": [training_view(one, size_px) for one in _emoji(size_px, cache_dir)[:num_each]],
        "knowledge": [training_view(one, size_px) for one in knowledge],
        "photographs": [_square(path, size_px) for path in list(photo_paths().values())[:num_each]],
    }


def _emoji(size_px: int, cache_dir: Path) -> list[bytes]:
    """Both styles in turn."""
    source = EmojiSource(EmojiConfig(render_px=size_px), cache_dir)
    found = source.read([f"{style}/{key}" for key in _EMOJI for style in ("flat", "outlined")])
    return [one for one in found if isinstance(one, bytes)]


def _square(path: Path, size_px: int) -> Pixels:
    """The middle of a photograph."""
    with Image.open(path) as photograph:
        picture = photograph.convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((size_px, size_px), Image.Resampling.LANCZOS, box=box))
