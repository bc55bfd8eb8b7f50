"""Every measurement of a picture from one decode.

A row whose bytes cannot be decoded is an outcome, not an error: its columns stay null and its verdict is "quarantined"
with the reason. Decoding is by far the dearest part, so nothing else in curation opens the bytes again to measure.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from curation.decode import Undecodable, decode, fit_square, on_background
from curation.signals import appearance, features, hashes
from curation.tables import FEATURE_DIM, MEASURED_SCHEMA


class Measurement(NamedTuple):
    """What one decode tells of one picture, features aside (those are computed by the batch)."""

    width_px: int
    height_px: int
    exact_hash: str
    perceptual_hash: int
    sharpness: float
    colourfulness: float
    alpha_cover: float
    view: UInt8[np.ndarray, "y x 3"]


class Unmeasured(NamedTuple):
    """A picture without measurements, and which of `tables.REASONS` is to blame."""

    reason: str


def measure_version() -> str:
    """Digest of the signals' versions and sizes; rows measured under another one are to be measured again."""
    parts = {
        "hashes": hashes.VERSION,
        "appearance": appearance.VERSION,
        "features": features.NETWORK_VERSION,
        "view_px": features.VIEW_PX,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def measure(pictures: Sequence[bytes | None], network: features.FeatureNetwork) -> pa.Table:
    """Measured columns (MEASURED_SCHEMA) of encoded pictures, in order.

    The verdict is null for a picture that could be measured (deciding is `curation.verdict`'s), "quarantined" otherwise.
    """
    outcomes = [measure_one(encoded) for encoded in pictures]
    views = [outcome.view for outcome in outcomes if isinstance(outcome, Measurement)]
    return _columns(outcomes, features.features_of(views, network))


class Measuring:
    """Measures rows that have the column `image`; built in a worker, where it loads the feature network once."""

    def __init__(self) -> None:
        from models.perception.efficientnet import LiteFeatures  # heavy: only workers need torch

        self._network = LiteFeatures.load()

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Rows of MEASURED_SCHEMA."""
        return measure(rows["image"].to_pylist(), self._network)


def measure_one(encoded: bytes | None) -> Measurement | Unmeasured:
    """Decode a picture once and measure it, or say why that is impossible."""
    if encoded is None:
        return Unmeasured("unreadable")
    try:
        rgba = decode(encoded)
    except Undecodable as error:
        return Unmeasured(error.reason)
    rgb = on_background(rgba)
    return Measurement(
        width_px=rgba.shape[1],
        height_px=rgba.shape[0],
        exact_hash=hashes.exact_hash(rgba),
        perceptual_hash=hashes.perceptual_hash(rgb),
        sharpness=appearance.sharpness(rgb),
        colourfulness=appearance.colourfulness(rgb),
        alpha_cover=appearance.alpha_cover(rgba),
        view=on_background(fit_square(rgba, features.VIEW_PX)),
    )


def _columns(outcomes: Sequence[Measurement | Unmeasured], vectors: np.ndarray) -> pa.Table:
    is_measured = np.array([isinstance(outcome, Measurement) for outcome in outcomes], dtype=bool)
    assert len(vectors) == is_measured.sum(), (vectors.shape, is_measured.sum())
    scalars = {
        name: pa.array([getattr(outcome, name, None) for outcome in outcomes], MEASURED_SCHEMA.field(name).type)
        for name in Measurement._fields
        if name != "view"
    }
    columns = {
        **scalars,
        "image_features": _feature_column(vectors, is_measured),
        "measure_version": pa.array([measure_version()] * len(outcomes), pa.string()),
        "verdict": pa.array([None if measured else "quarantined" for measured in is_measured], pa.string()),
        "verdict_reasons": pa.array(
            [[outcome.reason] if isinstance(outcome, Unmeasured) else None for outcome in outcomes], pa.list_(pa.string())
        ),
    }
    return pa.table(columns, schema=MEASURED_SCHEMA)


def _feature_column(vectors: np.ndarray, is_measured: np.ndarray) -> pa.FixedSizeListArray:
    """Features of the measured rows, null in between."""
    filled = np.zeros((len(is_measured), FEATURE_DIM), dtype=np.float32)
    filled[is_measured] = vectors
    return pa.FixedSizeListArray.from_arrays(pa.array(filled.reshape(-1)), FEATURE_DIM, mask=pa.array(~is_measured))
