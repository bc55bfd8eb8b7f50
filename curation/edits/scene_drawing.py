"""Drawing a scene from its truth: cut-outs, trimmed, recoloured, resized to their boxes and pasted on a ground.

Photographs come from the packages scikit-image and scikit-learn (`seedbed[scenes]`); nothing is downloaded. They are blurred and
lose half of their contrast, so that what was pasted is the only thing in focus, as with a shallow depth of field.

y, x pixels
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from curation.decode import decode, on_background, resized
from infra.errors import UserError
from models.perception.colour_words import dominant_hue, oklab, recoloured, srgb
from models.perception.scene_truth import Ground, PlacedThing, SceneTruth

PLAIN: Mapping[str, tuple[int, int, int]] = {
    "white": (255, 255, 255), "grey": (150, 154, 160), "black": (28, 28, 32), "yellow": (252, 222, 90), "green": (104, 190, 104),
    "blue": (82, 146, 232), "purple": (156, 104, 206), "pink": (250, 164, 200), "red": (222, 68, 62),
}  # fmt: skip
"""Plain grounds by name, sRGB."""


class Photo(NamedTuple):
    """A photograph inside an installed package."""

    package: str
    file: str
    name_zh: str
    licence: str
    attribution: str


_CC0, _CC_BY = "CC0-1.0", "CC-BY-2.0"
PHOTOS: Mapping[str, Photo] = {
    "coffee": Photo("skimage", "data/coffee.png", "咖啡", _CC0, "Coffee by Rachel Michetti, in scikit-image"),
    "rocket": Photo("skimage", "data/rocket.jpg", "火箭", "public domain", "Launch of DSCOVR by SpaceX, in scikit-image"),
    "flowers": Photo("sklearn", "datasets/images/flower.jpg", "花丛", _CC_BY, "Flower by vultilion, in scikit-learn"),
    "temple": Photo("sklearn", "datasets/images/china.jpg", "宫殿", _CC_BY, "Summer Palace by danielbuechele, in scikit-learn"),
}  # fmt: skip
"""Photographic grounds by what they show. Grey textures (gravel, bricks) are left out: blurred they are plain grey."""

_PHOTO_SIDE_PX = 320
_BLUR_SHARE = 0.02
"""Standard deviation of the blur, as a share of the picture's side."""
_CONTRAST = 0.5
_DRAWN = 8
"""Alpha above which a pixel belongs to the drawing."""


def cutout(encoded: bytes) -> UInt8[np.ndarray, "y x 4"]:
    """What is drawn of a picture, trimmed.

    Raises:
        Undecodable: not a picture that we read.
        ValueError: nothing is drawn.
    """
    rgba = decode(encoded)
    rows, columns = np.nonzero(rgba[..., 3] > _DRAWN)
    if not rows.size:
        raise ValueError("a cut-out was asked of a picture on which nothing is drawn; leave such out by their alpha_cover")
    return np.ascontiguousarray(rgba[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])


def coloured(rgba: UInt8[np.ndarray, "y x 4"], word: str) -> UInt8[np.ndarray, "y x 4"]:
    """The cut-out in another colour; as it is for "" and where it has no dominant one."""
    hue = dominant_hue(rgba[rgba[..., 3] > 127][:, :3]) if word else None
    if hue is None:
        return rgba
    return np.concatenate([recoloured(rgba[..., :3], word, dominant=hue), rgba[..., 3:]], -1)


def draw_scene(truth: SceneTruth, cutouts: Mapping[str, UInt8[np.ndarray, "_ _ 4"]]) -> UInt8[np.ndarray, "s s 3"]:
    """The scene's pixels.

    Args:
        truth: what to draw.
        cutouts: by id, at least those of `truth.things`.
    """
    pixels = ground_pixels(truth.ground, truth.size_px)
    for each in truth.things:
        pixels = _pasted(pixels, cutouts[each.thing], each)
    return pixels


def ground_pixels(ground: Ground, size_px: int) -> UInt8[np.ndarray, "{size_px} {size_px} 3"]:
    """An empty ground.

    Raises:
        UserError: the package that has the photograph is not installed.
    """
    if ground.kind == "plain":
        return np.broadcast_to(np.asarray(ground.rgb, np.uint8), (size_px, size_px, 3)).copy()
    photo = _photo(ground.name)
    side = max(8, round(ground.crop[2] * min(photo.shape[:2])))
    top, left = (round(share * (length - side)) for share, length in zip(ground.crop[1::-1], photo.shape[:2], strict=True))
    window = cv2.resize(photo[top : top + side, left : left + side], (size_px, size_px), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(window, (0, 0), _BLUR_SHARE * size_px)
    return srgb(_softened(oklab(np.asarray(blurred, np.uint8))))


def _softened(lab: Float32[np.ndarray, "y x 3"]) -> Float32[np.ndarray, "y x 3"]:
    """Less contrast around the mean colour."""
    mean = lab.mean((0, 1), keepdims=True)
    return (mean + _CONTRAST * (lab - mean)).astype(np.float32)


def _pasted(
    pixels: UInt8[np.ndarray, "s s 3"], rgba: UInt8[np.ndarray, "y x 4"], each: PlacedThing
) -> UInt8[np.ndarray, "s s 3"]:
    left, top, right, bottom = each.box
    pixels = pixels.copy()
    small = resized(coloured(rgba, each.colour), bottom - top, right - left)
    alpha = small[..., 3:].astype(np.uint32)
    under = pixels[top:bottom, left:right].astype(np.uint32)
    pixels[top:bottom, left:right] = ((small[..., :3] * alpha + under * (255 - alpha) + 127) // 255).astype(np.uint8)
    return pixels


@lru_cache(maxsize=len(PHOTOS))
def _photo(name: str) -> UInt8[np.ndarray, "y x 3"]:
    """The photograph, its shorter side reduced to `_PHOTO_SIDE_PX`."""
    photo = PHOTOS[name]
    spec = find_spec(photo.package)
    if spec is None or spec.origin is None:
        raise UserError(f"ground {name!r} is in the package {photo.package}, which is missing; pip install 'seedbed[scenes]'")
    rgb = on_background(decode(Path(spec.origin).parent.joinpath(photo.file).read_bytes()))
    scale = _PHOTO_SIDE_PX / min(rgb.shape[:2])
    size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
