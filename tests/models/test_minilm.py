"""The packaged text encoder."""

import numpy as np
import pytest
import torch

from models.minilm import MAX_TOKENS, TEXT_WIDTH, MiniLmEncoder, most_tokens


@pytest.fixture(scope="module")
def encoder() -> MiniLmEncoder:
    return MiniLmEncoder.load()


def test_states_of_a_text_do_not_depend_on_its_neighbours(encoder: MiniLmEncoder) -> None:
    alone = encoder.encode(["a red apple"])[0]
    beside = encoder.encode(["a red apple", "a much longer text about something else altogether"])[0]
    assert alone.shape[1] == TEXT_WIDTH
    torch.testing.assert_close(alone, beside, atol=1e-4, rtol=1e-4)


def test_like_meanings_are_near_each_other(encoder: MiniLmEncoder) -> None:
    apple, green, dog = encoder.pooled(["a red apple", "a green apple", "a dog"])
    assert apple @ green > apple @ dog + 0.2


def test_long_texts_are_cut(encoder: MiniLmEncoder) -> None:
    assert len(encoder.encode(["word " * 500])[0]) == MAX_TOKENS


@pytest.mark.parametrize(
    "text",
    [
        "", "flat falafel", "A bento box in flat style.", "Put both on a table, with a paper lantern above: 3 of them!",
        "把这两个放在一张红色的桌子上", "word " * 500,
    ],
)  # fmt: skip
def test_no_text_takes_more_tokens_than_its_bytes_allow(encoder: MiniLmEncoder, text: str) -> None:
    assert len(encoder.encode([text])[0]) <= most_tokens(np.array([len(text.encode())]))[0]
