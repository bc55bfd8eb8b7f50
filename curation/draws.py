"""Hashes of texts and keyed draws for whole columns at once.

A draw is a hash of (row, key), never a generator's next number: the same row gets the same draw on any number of workers, in
any order, in any shard. `splits.unit_draw` does the same for one key at a time with SHA-256; a column of 10^6 ids takes that
a second and this a twentieth. The mixing function is SplitMix64's finaliser (Steele, Lea and Flood 2014, "Fast Splittable
Pseudorandom Number Generators"), a bijection of 64 bits; it withstands no adversary, and nothing here needs it to.

n rows
"""

# pyarrow.compute makes its functions at import, where the checker cannot see them.
# pyright: reportAttributeAccessIssue=false

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, UInt64

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_NULL = np.uint64(0x5BD1E995A3C59AC3)
"""Hash of a missing text; no text has it but by chance."""


def mixed(values: UInt64[np.ndarray, "*n"]) -> UInt64[np.ndarray, "*n"]:
    """Each value scattered over 64 bits (SplitMix64); equal values stay equal, different ones different."""
    values = values + _GOLDEN
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def text_hashes(texts: pa.Array | pa.ChunkedArray) -> UInt64[np.ndarray, "n"]:
    """64-bit hash of each UTF-8 text, from its bytes and their number alone.

    Of 10^9 different texts, two share a hash with a probability of 3 %; draws may, identities must not depend on it.
    """
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    return np.concatenate([np.empty(0, np.uint64), *map(_chunk_hashes, chunks)])


def unit_draws(hashes: UInt64[np.ndarray, "n"], *key: str | int) -> Float64[np.ndarray, "n"]:
    """A number in [0, 1) for each hash, uniform over keys and rows, a multiple of 2^-53."""
    return (mixed(hashes ^ np.uint64(key_hash(*key))) >> np.uint64(11)) * 2.0**-53


def key_hash(*key: str | int) -> int:
    """64 bits of BLAKE2b of a key's parts."""
    joined = "\x1f".join(str(part) for part in key).encode()
    return int.from_bytes(hashlib.blake2b(joined, digest_size=8).digest(), "little")


def _chunk_hashes(chunk: pa.Array) -> UInt64[np.ndarray, "n"]:
    if not len(chunk):
        return np.empty(0, np.uint64)
    texts = chunk.cast(pa.large_string())
    _, offsets_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.empty(0, np.uint8)
    first, last = int(offsets[0]), int(offsets[-1])
    padded = np.concatenate([data[first:last], np.zeros(8, np.uint8)])
    starts, lengths = offsets[:-1] - first, np.diff(offsets)
    words = np.ndarray((len(padded) - 7,), np.dtype("<u8"), padded, strides=(1,))  # the eight bytes that begin at each byte
    hashes = mixed(lengths.astype(np.uint64))
    rows, word = np.flatnonzero(lengths > 0), 0
    while len(rows):
        left = np.minimum(lengths[rows] - 8 * word, 8).astype(np.uint64)
        kept = np.uint64(2**64 - 1) >> (np.uint64(64) - left * np.uint64(8))
        hashes[rows] = mixed(hashes[rows] ^ (words[starts[rows] + 8 * word] & kept))
        word += 1
        rows = rows[lengths[rows] > 8 * word]
    if texts.null_count:
        hashes[pc.is_null(texts).to_numpy(zero_copy_only=False)] = _NULL
    return hashes
