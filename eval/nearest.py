"""What a retrieval system would answer: for each prompt the known picture whose caption is nearest to it.

Captions are compared by the cosine of their sentence embeddings. A sample is never answered with its own target: that would be
the truth. A generator that only remembers does no better than this.

n samples · m known ones · k text width
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from eval.samples import Sample

_TEXTS_AT_ONCE = 256


def nearest(
    samples: Sequence[Sample], known: Sequence[Sample], embed: Callable[[list[str]], Float[Tensor, "_ k"]]
) -> list[str] | None:
    """Ids of the answers' pictures, in the order of the samples; None when there is a sample without any other picture.

    Args:
        known: whose targets may be answered; of equally near ones the first is.
        embed: sentence embeddings of length 1.
    """
    if not known:
        return None
    captions, prompts = (_embedded([each.prompt for each in some], embed) for some in (known, samples))
    fit = prompts @ captions.T
    is_own = [[one.target_id == other.target_id for other in known] for one in samples]
    fit[torch.tensor(is_own)] = -torch.inf
    if torch.isinf(fit.max(1).values).any():
        return None
    return [known[place].target_id for place in fit.argmax(1).tolist()]


def _embedded(texts: Sequence[str], embed: Callable[[list[str]], Float[Tensor, "_ k"]]) -> Float[Tensor, "n k"]:
    """Each distinct text once."""
    distinct = sorted(set(texts))
    parts = [embed(distinct[start : start + _TEXTS_AT_ONCE]) for start in range(0, len(distinct), _TEXTS_AT_ONCE)]
    places = {text: place for place, text in enumerate(distinct)}
    return torch.cat(parts)[[places[text] for text in texts]]
