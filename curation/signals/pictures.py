"""All cheap measurements of encoded pictures from one scaled decode each.

Rows whose bytes are not a picture that we read get a refusal and nulls; nothing is raised for them. What a column means is said
in the module of its signal; here they are only taken together, since the decode is nearly all of the cost.

CPU time a file on a generated corpus (`pipelines.bench.corpus`, seed 2, 640 files; AMD EPYC whose two cores were shared by some
thirty processes): 4.9 ms, of which 3.4 ms decode, the floor; 1.5 ms measure and build columns. PNG (29 ms a file) and WebP
(15 ms) are 8 % of the files and nearly half of the decoding; a JPEG takes 1.9 ms. OpenCV was tried for grey and shrinking: it
saves 0.15 ms, which is not worth a second picture library.

b batch
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from curation.decode import Undecodable, decode_scaled
from curation.signals import border, density, fingerprints, focus, saturation, tone, view

PICTURES_SCHEMA = pa.schema(
    [
        pa.field("file_hash", pa.string()),               # BLAKE3 of the bytes; null only where there are none
        pa.field("file_kind", pa.string()),               # `curation.containers.header.Kind`; null when refused, as all below
        pa.field("width_px", pa.int32()),                 # upright
        pa.field("height_px", pa.int32()),
        pa.field("aspect", pa.float32()),                 # longer by shorter side, at least 1
        pa.field("perceptual_hash", pa.uint64()),
        pa.field("thumbnail", pa.binary(fingerprints.THUMBNAIL_SIDE_PX**2)),  # luma, row by row
        pa.field("sharpness", pa.float32()),              # variance of the Laplacian at the common size
        pa.field("luma_mean", pa.float32()),              # in [0, 255]
        pa.field("luma_entropy", pa.float32()),           # bits, in [0, 8]
        pa.field("saturation", pa.float32()),             # in [0, 1]
        pa.field("border_variance", pa.float32()),
        pa.field("bytes_per_pixel", pa.float32()),
        pa.field("refusal", pa.string()),                 # `curation.containers.header.Cause`, null when the picture was measured
        pa.field("refusal_detail", pa.string()),          # what was seen
    ]
)  # fmt: skip
"""Columns of `measure_pictures`."""


class _Measured(NamedTuple):
    """One picture; names are those of the columns, but for `square`."""

    file_hash: str
    file_kind: str
    width_px: int
    height_px: int
    aspect: float
    sharpness: float
    luma_mean: float
    luma_entropy: float
    saturation: float
    border_variance: float
    bytes_per_pixel: float
    square: UInt8[np.ndarray, "32 32"]


class _Refused(NamedTuple):
    file_hash: str | None
    refusal: str
    refusal_detail: str


def versions() -> dict[str, int]:
    """Versions of everything that the columns depend on: a column file is stale when one of them differs."""
    parts = (view, fingerprints, focus, tone, saturation, border, density)
    return {part.__name__.rpartition(".")[2]: part.VERSION for part in parts}


def measure_pictures(batch: Sequence[bytes | None]) -> dict[str, pa.Array]:
    """Columns of PICTURES_SCHEMA for encoded pictures, in order; None is a row without bytes."""
    outcomes = [_measured(encoded) for encoded in batch]
    columns = {
        field.name: pa.array([getattr(one, field.name, None) for one in outcomes], field.type)
        for field in PICTURES_SCHEMA
        if field.name not in ("perceptual_hash", "thumbnail")
    }
    squares = [one.square for one in outcomes if isinstance(one, _Measured)]
    stacked = np.stack(squares) if squares else np.empty((0, view.SQUARE_SIDE_PX, view.SQUARE_SIDE_PX), np.uint8)
    places = iter(range(len(squares)))
    place = pa.array([next(places) if isinstance(one, _Measured) else None for one in outcomes], pa.int32())
    small = [row.tobytes() for row in fingerprints.thumbnails(stacked)]
    columns["perceptual_hash"] = pa.array(fingerprints.perceptual_hashes(stacked)).take(place)
    columns["thumbnail"] = pa.array(small, PICTURES_SCHEMA.field("thumbnail").type).take(place)
    return {name: columns[name] for name in PICTURES_SCHEMA.names}


def _measured(encoded: bytes | None) -> _Measured | _Refused:
    if encoded is None:
        return _Refused(None, "not_a_picture", "no bytes")
    file_hash = fingerprints.file_hash(encoded)
    try:
        scaled = decode_scaled(encoded, view.MIN_SIDE_PX)
    except Undecodable as error:
        return _Refused(file_hash, error.cause, error.detail)
    shown = view.view_of(scaled)
    width, height = scaled.width_px, scaled.height_px
    return _Measured(
        file_hash=file_hash,
        file_kind=scaled.header.kind,
        width_px=width,
        height_px=height,
        aspect=max(width, height) / min(width, height),
        sharpness=focus.laplacian_variance(shown.luma),
        luma_mean=tone.luma_mean(shown.histogram),
        luma_entropy=tone.luma_entropy(shown.histogram),
        saturation=saturation.saturation(shown.rgb),
        border_variance=border.border_variance(shown.luma),
        bytes_per_pixel=density.bytes_per_pixel(len(encoded) - scaled.header.trailing_bytes, width, height),
        square=shown.square,
    )
