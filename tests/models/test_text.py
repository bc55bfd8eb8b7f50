"""The packaged text encoder."""

import pytest
import torch

from models.text import MAX_TOKENS, TEXT_WIDTH, TextEncoder


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.load()


def test_states_of_a_text_do_not_depend_on_its_neighbours(encoder: TextEncoder) -> None:
    alone = encoder.encode(["a red apple"])[0]
    beside = encoder.encode(["a red apple", "a much longer text about something else altogether"])[0]
    assert alone.shape[1] == TEXT_WIDTH
    torch.testing.assert_close(alone, beside, atol=1e-4, rtol=1e-4)


def test_like_meanings_are_near_each_other(encoder: TextEncoder) -> None:
    apple, green, dog = encoder.pooled(["a red apple", "a green apple", "a dog"])
    assert apple @ green > apple @ dog + 0.2


def test_long_texts_are_cut(encoder: TextEncoder) -> None:
    assert len(encoder.encode(["word " * 500])[0]) == MAX_TOKENS
