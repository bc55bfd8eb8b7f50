"""The answer of a retrieval system."""

import torch
from jaxtyping import Float
from torch import Tensor

from eval.nearest import nearest
from eval.samples import Sample

WORDS = ("red", "green", "apple", "pear", "fish")


def embed(texts: list[str]) -> Float[Tensor, "n k"]:
    counted = torch.tensor([[float(text.split().count(word)) for word in WORDS] for text in texts])
    return torch.nn.functional.normalize(counted, dim=1)


def sample(prompt: str, target: str) -> Sample:
    return Sample(f"sample of {target}", "t2i", "train", prompt, prompt, target, ())


KNOWN = [sample("red apple", "a"), sample("green apple", "b"), sample("green pear", "c"), sample("red fish", "d")]


def test_the_nearest_caption_answers_but_never_with_the_truth() -> None:
    assert nearest(KNOWN[:3], KNOWN, embed) == ["b", "a", "b"]          # red apple: b before d, which is as near
    assert nearest([sample("pear pear green", "z")], KNOWN, embed) == ["c"]


def test_no_sample_depends_on_the_others() -> None:
    together = nearest(KNOWN, KNOWN, embed)
    assert together == [answer for one in KNOWN for answer in nearest([one], KNOWN, embed) or ()]


def test_without_any_other_picture_there_is_no_answer() -> None:
    assert nearest(KNOWN[:1], KNOWN[:1], embed) is None
    assert nearest(KNOWN[:1], [], embed) is None
