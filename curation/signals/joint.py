"""Pictures in the space that they share with texts, so that a search by text can use an index.

The head is fitted by this system's own training and differs from workspace to workspace, so it is handed in, and the width of
its space is part of the column's name: another head of the same width replaces the values, one of another width adds a column.

b rows · f features · d width of the shared space
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from curation.signals import features
from curation.signals.contract import Batch, Compute, Signal, version_of

Encode = Callable[[Float32[np.ndarray, "b f"]], Float32[np.ndarray, "b d"]]
"""Unit vectors of pictures from their features."""


def joint_signal(head: str, *, width: int, encode: Encode) -> Signal:
    """The signal that fills the column ``joint<width>``.

    Args:
        head: digest of the head's bundle.
        width: of the vectors that `encode` gives.
        encode: picklable; travels to the workers as it is.
    """
    name = f"joint{width}"
    return Signal(
        name=name, version=version_of(head=head, features=features.SIGNAL.version), inputs=("image_features",),
        outputs=pa.schema([pa.field(name, pa.list_(pa.float32(), width))]), build=partial(_build, encode, width), batch_rows=1024,
    )  # fmt: skip


def _build(encode: Encode, width: int) -> Compute:
    def compute(batch: Batch) -> dict[str, pa.Array]:
        known, is_known = features.known_features(batch.rows)
        vectors = np.zeros((len(is_known), width), dtype=np.float32)
        if len(known):
            vectors[is_known] = encode(known)
        flat = pa.array(vectors.reshape(-1))
        return {f"joint{width}": pa.FixedSizeListArray.from_arrays(flat, width, mask=pa.array(~is_known))}

    return compute
