"""What the ingress and the model's replicas say to each other; no torch, so the ingress stays small."""

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from pydantic import BaseModel


class Job(NamedTuple):
    """One picture to draw."""

    prompt: str
    references: tuple[UInt8[np.ndarray, "y x 3"], ...]
    seed: int


class Served(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What a replica serves and how much it has done."""

    bundle: str
    """Digest of the bundle."""
    run: str
    """Id of the run that made it."""
    width_px: int
    height_px: int
    num_pictures: int
    """Pictures drawn by this replica so far."""
    num_batches: int
    """Batches they were drawn in."""

    @property
    def size(self) -> str:
        """The picture size in OpenAI's form."""
        return f"{self.width_px}x{self.height_px}"
