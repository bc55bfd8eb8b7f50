"""Knowledge pictures are rated at their own size, other pictures not at all."""

import io

import numpy as np
import pyarrow as pa
from PIL import Image

from curation.decode import decode_scaled
from curation.knowledge.kinds import draw
from curation.knowledge.quality import DIFFICULTIES, rate
from curation.signals.contract import VIEW_SIDE_PX, Batch
from curation.signals.knowledge_quality import SCHEMA, KnowledgeQualityConfig, knowledge_quality_signal


def _encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_ratings_are_those_of_the_whole_picture_and_of_the_named_sources_only() -> None:
    drawn = draw("maps", 0, 1).pixels
    large = np.kron(drawn, np.ones((2, 2, 1), np.uint8))
    pictures = [_encoded(one) for one in (drawn, large, drawn)]
    scaled = [decode_scaled(one, VIEW_SIDE_PX) for one in pictures]
    assert scaled[1].pixels.shape != large.shape, "the shared view shrinks it"
    columns = {"image": pa.array(pictures, pa.large_binary()), "source": ["knowledge", "pdf", "folder"]}
    signal = knowledge_quality_signal(KnowledgeQualityConfig(), rate, version="v1")
    rows = pa.table(dict(signal.build()(Batch(pa.table(columns), scaled))), schema=SCHEMA).to_pylist()
    for row, pixels in zip(rows[:2], (drawn, large), strict=True):
        rating = rate(pixels)
        assert (row["low_quality"], row["strain"]) == (np.float32(rating.low_quality), np.float32(rating.strain))
        assert row["difficulty"] == rating.difficulty
        assert row["difficulty"] in DIFFICULTIES
    assert rows[2] == dict.fromkeys(SCHEMA.names)
    others = KnowledgeQualityConfig(sources=("folder",))
    versions = {knowledge_quality_signal(others, rate, version=version).version for version in ("v1", "v2")}
    assert len(versions | {signal.version}) == 3
