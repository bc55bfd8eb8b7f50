"""Fingerprints: near duplicates are near, others are not, and a batch gives what each picture gives alone."""

import hashlib
import io

import numpy as np
from PIL import Image
from scipy.fft import dctn

from curation.decode import decode, decode_scaled
from curation.signals.contract import VIEW_SIDE_PX
from curation.signals.hashes import bit_distance, centred, exact_hash, perceptual_hashes, thumbnails
from curation.signals.view import square
from pipelines.bench.decode import picture


def squares(*files: bytes) -> np.ndarray:
    return np.stack([square(decode_scaled(file, VIEW_SIDE_PX).luma) for file in files])


def again(file: bytes, *, shrink: float, quality: int) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(file)) as whole:
        size = (round(whole.width * shrink), round(whole.height * shrink))
        whole.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def by_scipy(square: np.ndarray) -> int:
    lowest = np.asarray(dctn(square.astype(np.float64), norm="ortho"))[:8, :8]
    return int.from_bytes(np.packbits((lowest > np.median(lowest)).ravel()).tobytes(), "big")


def test_exact_hash_is_sha256_of_the_file():
    assert exact_hash(b"a picture") == hashlib.sha256(b"a picture").hexdigest()


def test_a_batch_of_hashes_is_what_scipy_gives_one_by_one():
    batch = squares(*(picture((640, 480), seed=seed) for seed in range(8)))
    assert perceptual_hashes(batch).tolist() == [by_scipy(square) for square in batch]


def test_hash_of_half_black_half_white_is_known():
    """A vertical step has energy in the odd horizontal frequencies of the first row only."""
    square = np.zeros((1, 32, 32), np.uint8)
    square[..., 16:] = 255
    first_row = int(perceptual_hashes(square)[0]) >> 56
    assert first_row & 0b10000000                  # mean brightness
    assert not first_row & 0b01000000              # dark to bright: the first cosine is negative


def test_smaller_and_harder_compressed_copies_are_near_and_correlate():
    original = picture((1024, 768), seed=4)
    copies = [again(original, shrink=shrink, quality=quality) for shrink, quality in ((0.6, 60), (0.73, 70), (0.95, 80))]
    batch = squares(original, *copies)
    hashes, small = perceptual_hashes(batch), centred(thumbnails(batch))
    unit = small / np.linalg.norm(small, axis=1, keepdims=True)
    assert bit_distance(hashes[1:], np.repeat(hashes[:1], 3)).max() <= 8
    assert (unit[1:] @ unit[0]).min() > 0.985


def test_other_pictures_are_far():
    hashes = perceptual_hashes(squares(*(picture((640, 480), seed=seed) for seed in range(6))))
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None])[np.triu_indices(6, 1)]
    assert distances.min() > 12


def test_the_hash_is_close_to_that_of_the_whole_picture():
    file = picture((800, 600), seed=6)
    whole = np.asarray(Image.fromarray(decode(file)[..., :3]).convert("L"))
    assert bit_distance(perceptual_hashes(squares(file)), perceptual_hashes(square(whole)[None])).max() <= 4


def test_thumbnails_are_averages_and_centred_ones_have_no_mean():
    square = np.arange(1024, dtype=np.uint32).reshape(1, 32, 32).astype(np.uint8)
    small = thumbnails(square)
    assert small[0, 0] == 17       # of 0, 1, 32 and 33; halves go up
    assert np.allclose(centred(small).mean(axis=1), 0.0, atol=1e-4)


def test_nothing_in_gives_nothing_out():
    none = np.empty((0, 32, 32), np.uint8)
    assert perceptual_hashes(none).shape == (0,)
    assert thumbnails(none).shape == (0, 256)


def test_bit_distance_counts_differing_bits():
    ours = np.array([0, 0b1011, 2**64 - 1], dtype=np.uint64)
    theirs = np.array([0, 0b0010, 0], dtype=np.uint64)
    assert bit_distance(ours, theirs).tolist() == [0, 2, 64]
