import hashlib

import numpy as np
from PIL import Image, ImageDraw

from curation.signals.hashes import bit_distance, exact_hash, perceptual_hash


def _drawn(size_px: int = 96) -> np.ndarray:
    image = Image.new("RGB", (size_px, size_px), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((size_px // 8, size_px // 8, size_px // 2, size_px * 3 // 4), fill=(200, 30, 30))
    draw.rectangle((size_px // 2, size_px // 2, size_px * 7 // 8, size_px * 7 // 8), fill=(20, 60, 160))
    return np.asarray(image)


def test_exact_hash_is_sha256_of_the_file() -> None:
    assert exact_hash(b"a picture") == hashlib.sha256(b"a picture").hexdigest()


def test_perceptual_hash_survives_resizing_and_tells_other_pictures() -> None:
    picture = _drawn()
    smaller = np.asarray(Image.fromarray(picture).resize((64, 64), Image.Resampling.LANCZOS))
    hashes = np.array([perceptual_hash(one) for one in (picture, smaller, picture[:, ::-1].copy())], dtype=np.uint64)
    near, far = bit_distance(hashes[:1], hashes[1:2]), bit_distance(hashes[:1], hashes[2:])
    assert near[0] <= 4
    assert far[0] >= 16


def test_perceptual_hash_of_half_black_half_white_is_known() -> None:
    """A vertical step has energy in the odd horizontal frequencies of the first row only."""
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:, 16:] = 255
    first_row = perceptual_hash(picture) >> 56
    assert first_row & 0b10000000                  # mean brightness
    assert not first_row & 0b01000000              # dark to bright: the first cosine is negative


def test_bit_distance_counts_differing_bits() -> None:
    ours = np.array([0, 0b1011, 2**64 - 1], dtype=np.uint64)
    theirs = np.array([0, 0b0010, 0], dtype=np.uint64)
    assert bit_distance(ours, theirs).tolist() == [0, 2, 64]
