"""Two fingerprints of a picture: one for equal pixels, one for equal looks.

The perceptual hash is the DCT hash of Zauner 2010 ("Implementation and Benchmarking of Perceptual Image Hash
Functions"): 32 x 32 luma, the 8 x 8 lowest frequencies, one bit each for "above the median". Chosen over the average hash,
which a change of background flips, and over a learned one, which needs a model where a sort will do.

b batch · y, x pixels · rgba channels last
"""

import hashlib

import numpy as np
from jaxtyping import UInt8, UInt64
from PIL import Image
from scipy.fft import dctn

VERSION = 1
"""Raised when a fingerprint's value changes; part of `measure_version`."""

LUMA_SIDE_PX = 32
KEPT_FREQUENCIES = 8


def exact_hash(rgba: UInt8[np.ndarray, "y x 4"]) -> str:
    """SHA-256 of the picture's size and its RGBA pixels, in hexadecimal."""
    height_px, width_px = rgba.shape[:2]
    digest = hashlib.sha256(f"{width_px}x{height_px}:".encode())
    digest.update(np.ascontiguousarray(rgba).data)
    return digest.hexdigest()


def perceptual_hash(rgb: UInt8[np.ndarray, "y x 3"]) -> int:
    """64-bit DCT hash of a picture (Zauner 2010); similar pictures differ in few bits."""
    luma = Image.fromarray(rgb).convert("L").resize((LUMA_SIDE_PX, LUMA_SIDE_PX), Image.Resampling.BILINEAR)
    frequencies = np.asarray(dctn(np.asarray(luma, dtype=np.float32), norm="ortho"))
    lowest = frequencies[:KEPT_FREQUENCIES, :KEPT_FREQUENCIES]
    bits = (lowest > np.median(lowest)).flatten()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def bit_distance(ours: UInt64[np.ndarray, "b"], theirs: UInt64[np.ndarray, "b"]) -> UInt8[np.ndarray, "b"]:
    """Number of bits, 0 to 64, in which two perceptual hashes differ."""
    return np.bitwise_count(np.bitwise_xor(ours, theirs))
