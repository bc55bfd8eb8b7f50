"""Control pictures: what a generator is shown of a picture so that it keeps that and makes up the rest.

A control is a reference like any other, a picture of its own, so no part of the network is for controls alone. Training makes
them of its targets (`curation.edits.controls`); a request that brings a picture and asks for its edges gets the same ones.

y, x pixels; values in [0, 255]
"""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

CANNY_LOW, CANNY_HIGH = 100, 200
"""Gradient of luma from which an edge goes on, and from which one begins: the thresholds of ControlNet's examples (Zhang et al.
2023, arXiv:2302.05543). Gradients are lengths of Sobel vectors of 3 x 3 pixels, so a step by 50 levels begins an edge."""

HIDDEN = (128, 128, 128)
"""What hidden pixels are painted with: the middle of the range, which drawings and photographs hardly hold in plain areas."""


def canny(picture: UInt8[np.ndarray, "y x 3"]) -> UInt8[np.ndarray, "y x 3"]:
    """Edges of a picture as white lines on black, one pixel wide (Canny 1986); the same picture always gives the same lines."""
    luma = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    edges = cv2.Canny(luma, CANNY_LOW, CANNY_HIGH, apertureSize=3, L2gradient=True)
    return np.repeat(np.asarray(edges, dtype=np.uint8)[..., None], 3, axis=-1)


def masked(picture: UInt8[np.ndarray, "y x 3"], mask: Bool[np.ndarray, "y2 x2"]) -> UInt8[np.ndarray, "y x 3"]:
    """The picture with `HIDDEN` where the mask is true.

    Raises:
        ValueError: the mask is of another size.
    """
    if mask.shape != picture.shape[:2]:
        sizes = [f"{width} x {height} px" for height, width in (mask.shape, picture.shape[:2])]
        raise ValueError(f"a mask of {sizes[0]} does not fit a picture of {sizes[1]}; give one of the same size")
    return np.where(mask[..., None], np.array(HIDDEN, dtype=np.uint8), picture)


def mask_picture(mask: Bool[np.ndarray, "y x"]) -> UInt8[np.ndarray, "y x 3"]:
    """The mask as a reference: white where the picture is hidden, black elsewhere."""
    return np.repeat(mask[..., None].astype(np.uint8) * np.uint8(255), 3, axis=-1)
