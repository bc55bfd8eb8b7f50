"""Two fingerprints of a picture: one for equal files, one for equal looks.

The perceptual hash is the DCT hash of Zauner 2010 ("Implementation and Benchmarking of Perceptual Image Hash
Functions"): 32 x 32 luma, the 8 x 8 lowest frequencies, one bit each for "above the median". Chosen over the average hash,
which a change of background flips, and over a learned one, which needs a model where a sort will do.

b batch · y, x pixels · rgba channels last
"""

import hashlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8, UInt64
from PIL import Image
from scipy.fft import dctn

from curation.signals.contract import VIEW_SIDE_PX, Batch, Signal, version_of
from curation.tables import HASHES_SCHEMA

VERSION = 2
"""Raised when a fingerprint's value changes."""

LUMA_SIDE_PX = 32
KEPT_FREQUENCIES = 8


def exact_hash(encoded: bytes) -> str:
    """SHA-256 of the file, in hexadecimal."""
    return hashlib.sha256(encoded).hexdigest()


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


def compute(batch: Batch) -> dict[str, pa.Array]:
    """Both fingerprints, and the whole picture's size."""
    pictures = batch.pictures
    return {
        "width_px": pa.array([one.width_px for one in pictures], pa.int32()),
        "height_px": pa.array([one.height_px for one in pictures], pa.int32()),
        "exact_hash": pa.array([exact_hash(encoded) for encoded in batch.rows["image"].to_pylist()], pa.string()),
        "perceptual_hash": pa.array([perceptual_hash(one.pixels) for one in pictures], pa.uint64()),
    }


def _build() -> Callable[[Batch], dict[str, pa.Array]]:
    return compute


SIGNAL = Signal(
    name="hashes", version=version_of(hashes=VERSION, view_px=VIEW_SIDE_PX), inputs=("image",), outputs=HASHES_SCHEMA,
    build=_build, takes_pictures=True,
)  # fmt: skip
"""Size and fingerprints."""
