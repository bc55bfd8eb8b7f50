"""How well the English text that a picture came with fits it: the cosine of the two in the space of a contrastive model.

The model is a contrastive head that `seedbed fit contrastive` made, on features that are measured already, or one of open_clip
on the picture itself. A cosine means something within its model only, so the model's digest is the version of the column and
limits belong to one model: take a low percentile of a corpus that reads well. Rows without an English text get null.

b rows · f features
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Literal, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, UInt8
from pydantic import BaseModel, Field

from curation.signals import features
from curation.signals.contract import VIEW_SIDE_PX, Batch, Compute, Signal, version_of

VERSION = 1
"""Raised when the same model would give another number."""

SCHEMA = pa.schema([pa.field("alignment", pa.float32())])
"""In [-1, 1]; null without an English text or without features."""


class HeadModel(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A contrastive head fitted here; costs a text embedding a row, 5 ms."""

    kind: Literal["head"] = "head"
    bundle: str
    """Folder of the bundle; it travels to workers by this path."""


class OpenClipModel(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A model of open_clip; ViT-B-32 takes some 100 ms a picture on one core."""

    kind: Literal["open_clip"] = "open_clip"
    name: str
    """As open_clip lists it: "ViT-B-32"."""
    weights: str
    """Safetensors file that every worker sees."""


class AlignmentConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Cosine of picture and text."""

    kind: Literal["alignment"] = "alignment"
    model: Annotated[HeadModel | OpenClipModel, Field(discriminator="kind")]
    """Which compares them."""


@runtime_checkable
class FeatureAligner(Protocol):
    """What is needed of `models.perception.alignment.HeadAlignment`."""

    def cosines(self, features: Float32[np.ndarray, "b f"], texts: Sequence[str], /) -> Float32[np.ndarray, " b"]:
        """Of every picture with its own text."""
        ...


@runtime_checkable
class PictureAligner(Protocol):
    """What is needed of `models.perception.alignment.ClipAlignment`."""

    def cosines(self, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], texts: Sequence[str], /) -> Float32[np.ndarray, " b"]:
        """Of every picture with its own text."""
        ...


def head_signal(digest: str, load: Callable[[], FeatureAligner]) -> Signal:
    """The signal by a head.

    Args:
        digest: of the head's bundle.
        load: picklable; called in each worker.
    """
    return Signal(
        name="alignment", version=version_of(code=VERSION, head=digest, features=features.SIGNAL.version),
        inputs=("image_features", "text_en"), outputs=SCHEMA, build=partial(_by_features, load), after=(features.SIGNAL,),
        batch_rows=256,
    )  # fmt: skip


def clip_signal(digest: str, load: Callable[[], PictureAligner]) -> Signal:
    """The signal by a model that looks at pictures.

    Args:
        digest: of the model's name and weights.
        load: picklable; called in each worker.
    """
    return Signal(
        name="alignment", version=version_of(code=VERSION, clip=digest, view_px=VIEW_SIDE_PX), inputs=("image", "text_en"),
        outputs=SCHEMA, build=partial(_by_pictures, load), takes_pictures=True,
    )  # fmt: skip


def _by_features(load: Callable[[], FeatureAligner]) -> Compute:
    aligner = load()

    def compute(batch: Batch) -> dict[str, pa.Array]:
        texts = batch.rows["text_en"].to_pylist()
        known, is_known = features.known_features(batch.rows)
        have_text = _have_text(texts)
        found = known[have_text[is_known]]
        return _column(have_text & is_known, lambda rows: aligner.cosines(found, [texts[row] for row in rows]))

    return compute


def _by_pictures(load: Callable[[], PictureAligner]) -> Compute:
    aligner = load()

    def compute(batch: Batch) -> dict[str, pa.Array]:
        texts = batch.rows["text_en"].to_pylist()
        pictures = [one.pixels for one in batch.pictures]
        return _column(
            _have_text(texts), lambda rows: aligner.cosines([pictures[row] for row in rows], [texts[row] for row in rows])
        )

    return compute


def _have_text(texts: Sequence[str | None]) -> Bool[np.ndarray, " b"]:
    return np.array([bool(text and text.strip()) for text in texts], dtype=bool)


def _column(is_there: Bool[np.ndarray, " b"], cosines: Callable[[list[int]], Float32[np.ndarray, " n"]]) -> dict[str, pa.Array]:
    """Cosines of the rows that have both, null for the others."""
    values = np.zeros(len(is_there), dtype=np.float32)
    if is_there.any():
        values[is_there] = cosines(np.flatnonzero(is_there).tolist())
    return {"alignment": pa.array(values, mask=~is_there)}
