"""Text in a picture, and how much of it lies over the picture rather than in it.

Every line that PP-OCRv6 finds is kept with its place, so that training can leave these parts out of its loss. A line is a
defect, something laid over the picture by whoever passed it on, when

* it names an owner: an address on the web, a handle, ©, "copyright", a stock agency, "watermark", in English or Chinese; or
* it repeats: the same words, with a letter among them, at `REPEATS` places or more; or
* it is a small line at the edge: its middle within `EDGE_SHARE` of the top or bottom, no higher than `EDGE_LINE_SHARE` of the
  picture: credits, dates of cameras, subtitles.

All other text is the picture's own: posters, signs, pages, labels. ``text_area`` is the share of the picture under any line,
``defect_area`` that under defects; boxes that overlap count once. Logos without letters are not found. A lone letter or digit is
left out: round things are read as "8" or "O", as wide as they are (a cup of coffee, 79 % of its picture). Seedream 3.0 trains on
pictures whose defects cover less than a fifth of them, with these parts masked, and leaves out the rest (arXiv:2504.11346).

The detector sees the view that all signals share, not enlarged: letters below about 8 of its pixels are missed. CPU time a
picture, one thread: 40 ms to look, and some 25 ms for each line that is read.

y, x pixels
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from curation.signals.contract import VIEW_SIDE_PX, Batch, Compute, Signal, version_of

VERSION = 1
"""Raised when a column would come out differently from the same lines."""

LEAST_SCORE = 0.5
"""Confidence of the recogniser below which a line is taken for texture."""
READER_VERSION = f"pp-ocrv6-small/rapidocr/score{LEAST_SCORE}/side{VIEW_SIDE_PX}"
"""The reader that lines are to come from, as `TextReader.version` says it."""
EDGE_SHARE = 0.1
EDGE_LINE_SHARE = 0.08
REPEATS = 3

TEXT_BOX = pa.struct(
    [
        pa.field("text", pa.string()),
        pa.field("score", pa.float32()),                  # of the recogniser, in [0, 1]
        pa.field("x0", pa.float32()),                     # left, in widths of the picture
        pa.field("y0", pa.float32()),                     # top, in heights of the picture
        pa.field("x1", pa.float32()),
        pa.field("y1", pa.float32()),
        pa.field("is_defect", pa.bool_()),                # laid over the picture, see the module
    ]
)
SCHEMA = pa.schema(
    [
        pa.field("text_boxes", pa.list_(TEXT_BOX)),       # from top to bottom
        pa.field("text_read", pa.string()),               # all lines, "" when there are none
        pa.field("text_area", pa.float32()),              # share of the picture, in [0, 1]
        pa.field("defect_area", pa.float32()),            # share of the picture, in [0, 1]
    ]
)

_OWNER = re.compile(
    r"https?:|www\.|\b[\w-]+\.(?:com|net|org|info|cn|io|co|de|uk|jp|ru|fr|photos?)\b|(?<!\w)@\w{2}|©|\(c\)\s|\bcopyright|"
    r"all rights reserved|watermark|shutterstock|getty ?images|istock|alamy|dreamstime|depositphotos|adobe ?stock|123rf|"
    r"版权|水印|公众号|微信号|抖音号|小红书|视觉中国|图虫",
    re.IGNORECASE,
)


@runtime_checkable
class Line(Protocol):
    """What is needed of `models.perception.ocr.ReadLine`."""

    @property
    def text(self) -> str:
        """What was read."""
        ...

    @property
    def score(self) -> float:
        """Confidence in [0, 1]."""
        ...

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in pixels."""
        ...


@runtime_checkable
class Reader(Protocol):
    """What is needed of `models.perception.ocr.TextReader`."""

    @property
    def version(self) -> str:
        """Changes whenever readings would."""
        ...

    def read(self, pixels: UInt8[np.ndarray, "y x 3"]) -> Sequence[Line]:
        """The lines of a picture, from top to bottom."""
        ...


def defects(lines: Sequence[Line], *, height_px: int) -> list[bool]:
    """Which lines of a picture of this height are laid over it."""
    times = Counter(map(_reduced, (line.text for line in lines)))
    repeated = {text for text, count in times.items() if count >= REPEATS and any(map(str.isalpha, text))}
    return [
        bool(_OWNER.search(line.text)) or _reduced(line.text) in repeated or _is_at_the_edge(line, height_px) for line in lines
    ]


def covered(lines: Sequence[Line], *, width_px: int, height_px: int) -> float:
    """Share of a picture of this size under the boxes of the lines, in [0, 1]; parts under several count once."""
    is_covered = np.zeros((height_px, width_px), dtype=bool)
    for line in lines:
        left, top, right, bottom = (max(0, round(edge)) for edge in line.box)
        is_covered[top:bottom, left:right] = True
    return float(is_covered.mean())


class Overlays:
    """Columns of pictures by one reader."""

    def __init__(self, reader: Reader) -> None:
        assert reader.version == READER_VERSION, f"lines are to come from {READER_VERSION}, this is {reader.version}"
        self._reader = reader

    def __call__(self, batch: Batch) -> dict[str, pa.Array]:
        """Columns of SCHEMA."""
        found = [self._columns(one.pixels) for one in batch.pictures]
        return {field.name: pa.array([one[field.name] for one in found], field.type) for field in SCHEMA}

    def _columns(self, pixels: UInt8[np.ndarray, "y x 3"]) -> dict[str, object]:
        height_px, width_px = pixels.shape[:2]
        size = {"width_px": width_px, "height_px": height_px}
        lines = [line for line in self._reader.read(pixels) if len(_reduced(line.text)) > 1 or not line.text.isascii()]
        are_defects = defects(lines, height_px=height_px)
        return {
            "text_boxes": [_box(line, is_defect, **size) for line, is_defect in zip(lines, are_defects, strict=True)],
            "text_read": "\n".join(line.text for line in lines),
            "text_area": covered(lines, **size),
            "defect_area": covered([line for line, is_defect in zip(lines, are_defects, strict=True) if is_defect], **size),
        }


def _box(line: Line, is_defect: bool, *, width_px: int, height_px: int) -> dict[str, str | float | bool]:
    edges = np.clip(np.array(line.box) / (width_px, height_px, width_px, height_px), 0, 1).tolist()
    places = dict(zip(("x0", "y0", "x1", "y1"), edges, strict=True))
    return {"text": line.text, "score": line.score, **places, "is_defect": is_defect}


def _is_at_the_edge(line: Line, height_px: int) -> bool:
    _, top, _, bottom = line.box
    middle = (top + bottom) / 2 / height_px
    return (bottom - top) / height_px <= EDGE_LINE_SHARE and not EDGE_SHARE < middle < 1 - EDGE_SHARE


def _reduced(text: str) -> str:
    """Letters and digits alone, without case or width."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def _build() -> Compute:
    from models.perception.ocr import TextReader  # heavy: only workers need the networks

    return Overlays(TextReader(least_score=LEAST_SCORE, least_side_px=VIEW_SIDE_PX))


SIGNAL = Signal(
    name="overlay", version=version_of(code=VERSION, reader=READER_VERSION, view_px=VIEW_SIDE_PX),
    inputs=("image",), outputs=SCHEMA, build=_build, takes_pictures=True,
)  # fmt: skip
"""Text in pictures, with its place."""
