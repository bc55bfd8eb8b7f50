"""From the colours that a file stores to sRGB, which is what every model and measurement is given.

A profile that cannot be read, or that is for other colours than the picture has, is left aside, as browsers do. A picture
without a profile is taken for sRGB. CMYK without a profile is converted by the plain formula: a guess, as every other would be.
"""

import hashlib
import io
from functools import lru_cache

from PIL import Image, ImageCms

_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_PROFILES_KEPT = 64


def to_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """The picture as 8-bit RGB in sRGB.

    Args:
        image: mode L, RGB or CMYK, 0 meaning no ink in the latter.
        icc: its profile, b"" for none.
    """
    transform = _transform(_Profile(icc), image.mode) if icc and image.mode in _SPACES else None
    if transform is None:
        return image.convert("RGB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted


class _Profile:
    """Bytes of a profile that are compared by their digest, so that the cache does not hash megabytes a picture twice."""

    def __init__(self, icc: bytes) -> None:
        self.icc = icc
        self._key = hashlib.blake2b(icc, digest_size=16).digest()

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Profile) and self._key == other._key


@lru_cache(maxsize=_PROFILES_KEPT)
def _transform(profile: _Profile, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What converts this mode to sRGB; None when there is nothing to do, or nothing that can be done."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile.icc))
        described = opened.profile
        assert isinstance(described, ImageCms.core.CmsProfile), described
        if described.xcolor_space.strip() != _SPACES[mode] or _is_srgb(described.profile_description):
            return None
        return ImageCms.buildTransform(opened, _srgb(), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _is_srgb(description: str | None) -> bool:
    return (description or "").startswith(("sRGB", "c2"))


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
