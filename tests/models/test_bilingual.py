"""The encoder of English and Chinese texts, before it has learnt anything."""

import numpy as np
import pytest
import torch
from tiny_text import TEXTS, TINY, tiny_encoder

from models.bilingual import BilingualEncoder, meanings, most_tokens, small


@pytest.fixture(scope="module")
def encoder() -> BilingualEncoder:
    return tiny_encoder()


def test_states_of_a_text_do_not_depend_on_its_neighbours(encoder: BilingualEncoder) -> None:
    together = encoder.encode([*TEXTS, "", "龘 something never met", "apple " * 50])
    asked = [*TEXTS, ""]
    for text, states in zip(asked, together[: len(asked)], strict=True):
        torch.testing.assert_close(encoder.encode([text])[0], states, atol=1e-5, rtol=1e-5)


def test_states_have_unit_mean_square_and_one_more_than_the_text_has_tokens(encoder: BilingualEncoder) -> None:
    states = encoder.encode(TEXTS)
    assert [len(each) for each in states] == [len(tokens) for tokens in encoder.tokens(TEXTS)]
    for each in states:
        assert each.shape[1] == encoder.width
        torch.testing.assert_close(each.square().mean(1), torch.ones(len(each)), atol=1e-3, rtol=1e-3)


def test_an_empty_text_has_one_state_and_no_texts_have_none(encoder: BilingualEncoder) -> None:
    assert [len(each) for each in encoder.encode(["", "  "])] == [1, 1]
    assert encoder.encode([]) == []


def test_order_of_words_is_read(encoder: BilingualEncoder) -> None:
    first, second = encoder.encode(["flat apple", "apple flat"])
    assert not torch.allclose(first.mean(0), second.mean(0), atol=1e-4)


def test_texts_that_look_alike_are_read_alike(encoder: BilingualEncoder) -> None:
    composed, decomposed = encoder.encode(["caf\u00e9  apple", "cafe\u0301 apple"])
    assert torch.equal(composed, decomposed)


def test_meanings_are_means_of_states(encoder: BilingualEncoder) -> None:
    states = encoder.encode(TEXTS)
    found = meanings(torch.cat(states), torch.tensor([len(each) for each in states]))
    torch.testing.assert_close(found, torch.stack([each.mean(0) for each in states]))


def test_weights_bring_their_vocabulary_along(encoder: BilingualEncoder) -> None:
    other = BilingualEncoder(TINY)
    assert other.tokens(["apple"]) != encoder.tokens(["apple"])
    blank = BilingualEncoder(TINY)
    blank.load_state_dict(encoder.state_dict())
    assert blank.tokens(TEXTS) == encoder.tokens(TEXTS)
    torch.testing.assert_close(blank.encode(TEXTS)[1], encoder.encode(TEXTS)[1])


@pytest.mark.parametrize("text", ["", *TEXTS, "flat apple in red style", "把苹果变成红色风格", "apple " * 500])
def test_no_text_of_known_words_takes_more_tokens_than_its_bytes_allow(encoder: BilingualEncoder, text: str) -> None:
    assert len(encoder.tokens([text])[0]) <= most_tokens(TINY, np.array([len(text.encode())]))[0]


def test_the_embedded_size_keeps_its_budget() -> None:
    with torch.device("meta"):
        encoder = BilingualEncoder(small())
    assert sum(parameter.numel() for parameter in encoder.parameters()) < 1_250_000


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="num_heads=3 must divide width=16"):
        BilingualEncoder(TINY.model_copy(update={"num_heads": 3}))
