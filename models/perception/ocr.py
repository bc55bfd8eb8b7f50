"""Text in pictures by PP-OCRv6 (small detector and recogniser, Chinese and English), weights from the `rapidocr` package.

Runs on onnxruntime's CPU provider with one thread, because callers are many worker processes beside each other. Of the packages
that ship weights this one read 3 of 3 mixed Chinese and English lines exactly; PP-OCRv4 split words, tesseract lost characters.
The angle classifier is left out: rendered and photographed text that is read here stands upright.

The detector enlarges a picture until its shorter side has `SIDE_PX`, which is most of the cost. Text that is large in the
picture is found as well without: `least_side_px` says how far to go.

One CPU thread, ms a picture: 640 × 240 with three lines 930, a single cut line 50; 400 × 267 with two lines 470, and 100 when
its shorter side need only have 256.

y, x pixels
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from rapidocr import RapidOCR
from rapidocr.utils.output import RapidOCROutput

VERSION = "pp-ocrv6-small/rapidocr"

SIDE_PX = 736
"""Shorter side for text of any size, the detector's own."""


class ReadLine(NamedTuple):
    """One line of text found in a picture."""

    text: str
    score: float
    """Confidence of the recogniser in [0, 1]."""
    box: tuple[float, float, float, float]
    """Left, top, right and bottom of the quadrilateral around the line, in pixels."""


class TextReader:
    """Finds and reads lines of text; one a process, not shared between threads."""

    def __init__(self, *, least_score: float = 0.5, least_side_px: int = SIDE_PX) -> None:
        settings = {
            "Global.log_level": "error", "Global.text_score": least_score, "Global.use_cls": False,
            "Det.limit_type": "min", "Det.limit_side_len": least_side_px,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1, "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }  # fmt: skip
        self._engine = RapidOCR(params=settings)
        self._settings = f"score{least_score}" + (f"/side{least_side_px}" if least_side_px != SIDE_PX else "")

    @property
    def version(self) -> str:
        """Changes whenever readings would: part of the digest of whoever stores them."""
        return f"{VERSION}/{self._settings}"

    def read(self, pixels: UInt8[np.ndarray, "y x 3"]) -> list[ReadLine]:
        """The lines of an RGB picture, from top to bottom and left to right."""
        found = self._engine(np.ascontiguousarray(pixels[:, :, ::-1]))
        assert isinstance(found, RapidOCROutput), type(found)
        if found.txts is None or found.boxes is None or found.scores is None:
            return []
        lines = [
            ReadLine(text, float(score), _upright(quad))
            for text, score, quad in zip(found.txts, found.scores, found.boxes, strict=True)
        ]
        return sorted(lines, key=lambda line: (line.box[1], line.box[0]))


def _upright(quad: np.ndarray) -> tuple[float, float, float, float]:
    (left, top), (right, bottom) = quad.min(axis=0).tolist(), quad.max(axis=0).tolist()
    return (left, top, right, bottom)
