"""Whether a knowledge picture is any good, and how hard it is, as `curation.knowledge.quality` rates it.

The ratings were learned on drawn charts, formulas, structures, maps and pages, and mean nothing for photographs, so rows are
rated by where they come from; others get nulls. They depend on the size of letters in pixels, so a picture that the shared view
shrinks is decoded again, in full: 27 measures of 1,024 x 768 pixels take about 150 ms.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from pydantic import BaseModel, Field

from curation.decode import Scaled, decode, on_background
from curation.signals.contract import Batch, Compute, Signal, version_of

SCHEMA = pa.schema(
    [
        pa.field("low_quality", pa.float32()),            # probability in [0, 1] that the picture is worthless
        pa.field("difficulty", pa.string()),              # "easy", "medium" or "hard"
        pa.field("strain", pa.float32()),                 # what difficulty is cut from
    ]
)


class Rated(Protocol):
    """What is needed of `curation.knowledge.quality.Rating`."""

    @property
    def low_quality(self) -> float:
        """Probability in [0, 1]."""
        ...

    @property
    def difficulty(self) -> str:
        """A level."""
        ...

    @property
    def strain(self) -> float:
        """What the level is cut from."""
        ...


Rate = Callable[[UInt8[np.ndarray, "y x 3"]], Rated]
"""`curation.knowledge.quality.rate`: knowledge pictures stand on signals, so signals do not import them."""


class KnowledgeQualityConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Quality and difficulty of knowledge pictures."""

    kind: Literal["knowledge_quality"] = "knowledge_quality"
    sources: tuple[str, ...] = Field(default=("knowledge", "pdf"), min_length=1)
    """Values of ``source`` whose pictures are rated."""


def knowledge_quality_signal(config: KnowledgeQualityConfig, rate: Rate, *, version: str) -> Signal:
    """The signal that fills SCHEMA.

    Args:
        rate: picklable.
        version: of the ratings.
    """
    return Signal(
        name="knowledge_quality", version=version_of(ratings=version, sources=sorted(config.sources)), inputs=("image", "source"),
        outputs=SCHEMA, build=partial(_rating, frozenset(config.sources), rate), takes_pictures=True,
    )  # fmt: skip


def _rating(sources: frozenset[str], rate: Rate) -> Compute:
    def compute(batch: Batch) -> dict[str, pa.Array]:
        rows = zip(batch.rows["source"].to_pylist(), batch.rows["image"].to_pylist(), batch.pictures, strict=True)
        found = [rate(_whole(picture, encoded)) if source in sources else None for source, encoded, picture in rows]
        return {field.name: pa.array([one and getattr(one, field.name) for one in found], field.type) for field in SCHEMA}

    return compute


def _whole(picture: Scaled, encoded: bytes) -> UInt8[np.ndarray, "y x 3"]:
    """All pixels over white."""
    is_whole = picture.pixels.shape[:2] == (picture.height_px, picture.width_px)
    return picture.pixels if is_whole else on_background(decode(encoded))
