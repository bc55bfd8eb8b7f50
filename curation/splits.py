"""Which split a concept belongs to, and the keyed draws that everything random in curation is made from.

A split is decided by concept, never by picture: the two styles and the skin tones of one concept would otherwise leak from the
training rows into the held-out ones. Draws are hashes, not a generator: the same key gives the same draw on every worker, in
every order, in every process.
"""

import hashlib

from curation.tables import Split


def unit_draw(*key: str | int) -> float:
    """A number in [0, 1) that depends on `key` alone, uniform over keys."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in key).encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def split_of(concept: str, *, heldout_share: float, seed: int) -> Split:
    """The split of a concept; `heldout_share` in [0, 1] is the expected share of concepts held out."""
    return "heldout" if unit_draw("split", seed, concept) < heldout_share else "train"
