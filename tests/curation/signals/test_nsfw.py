"""The NSFW score of harmless photographs is low, a probability, and does not depend on the pictures beside them."""

import io

import numpy as np
import pyarrow as pa
from PIL import Image
from skimage import data

from curation.decode import Scaled, decode_scaled
from curation.signals import nsfw
from curation.signals.contract import VIEW_SIDE_PX, Batch


def _decoded(pixels: np.ndarray) -> Scaled:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return decode_scaled(buffer.getvalue(), VIEW_SIDE_PX)


def test_a_portrait_and_a_cup_of_coffee_are_safe_and_score_the_same_alone() -> None:
    compute = nsfw.SIGNAL.build()
    pictures = [_decoded(data.astronaut()), _decoded(data.coffee())]
    together = compute(Batch(pa.table({}), pictures))["nsfw_score"].to_pylist()
    alone = [compute(Batch(pa.table({}), [one]))["nsfw_score"].to_pylist()[0] for one in pictures]
    assert together == alone
    portrait, coffee = together
    assert 0.2 > portrait > coffee > 0
    assert compute(Batch(pa.table({}), []))["nsfw_score"].to_pylist() == []
