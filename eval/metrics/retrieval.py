"""Does a picture find its own caption among all captions of the evaluated set?

The vectors come from the contrastive head that was fitted on the corpus; the numbers are named after it and are no "CLIP score".

n pictures · m captions · d width
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Gallery(NamedTuple):
    """The distinct captions of a set of samples."""

    captions: tuple[str, ...]
    """In order of first appearance."""
    truth: Int[np.ndarray, " n"]
    """Index of each sample's own caption."""


def gallery(texts: Sequence[str]) -> Gallery:
    """Equal captions count as one: whichever sample they came from, finding them is right."""
    place = {text: index for index, text in enumerate(dict.fromkeys(texts))}
    return Gallery(tuple(place), np.array([place[text] for text in texts], dtype=np.int64))


def ranks(
    pictures: Float[np.ndarray, "n d"], captions: Float[np.ndarray, "m d"], truth: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """How many captions score at least as well as each picture's own: 0 is a hit at 1. Ties count against the picture."""
    scores = pictures @ captions.T
    own = np.take_along_axis(scores, truth[:, None], axis=1)
    return (scores >= own).sum(1) - 1


def hits_at(ranked: Int[np.ndarray, " n"], k: int) -> int:
    """How many pictures have their own caption among the first k."""
    return int((ranked < k).sum())
