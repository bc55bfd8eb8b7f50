"""Letters: what is to be rendered, and its bytes in packs of any lengths."""

import pytest
import torch

from models.glyphs import MAX_BYTES, GlyphConfig, GlyphEncoder, packed, quoted

PASSAGES = [b"", b"SALE", "你好，世界".encode(), b"", b"a longer sign\nof two lines", b""]


@pytest.fixture(scope="module")
def encoder() -> GlyphEncoder:
    torch.manual_seed(0)
    return GlyphEncoder(GlyphConfig(width=16, depth=2, num_heads=2, ffn_width=24), into=20)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('A sign that says "SALE today"', "SALE today"),
        ("A sign that says “SALE”", "SALE"),
        ("一块写着「你好」的牌子", "你好"),
        ("一块写着『你好』和“再见”的牌子", "你好\n再见"),
        ("写着'你好'的牌子", "你好"),
        ("the word 'don't' on a wall", "don't"),
        ("the word ‘don’t’ on a wall", "don’t"),
        ('two lines, "first" and "second"', "first\nsecond"),
        ('"he said \'no\' to me"', "he said 'no' to me"),
        ("「外「内」」", "内"),
        ("('open')", "open"),
        ("a card with “ hi ” on it", "hi"),
        ("cafe\u0301 \"cafe\u0301\"", "caf\u00e9"),
    ],
)  # fmt: skip
def test_what_stands_in_quotes_is_to_be_rendered(text: str, expected: str) -> None:
    assert quoted(text).decode() == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "a dog", '""', "''", "“”", '" "', "the dog's bowl and the cat's toys", "the dogs' bowls and the cats' toys",
        "rock 'n' roll in the '90s and '80s", 'a 5" by 7" print', "an unclosed \"quote", "it’s the dog’s",
    ],
)  # fmt: skip
def test_apostrophes_lengths_and_empty_quotes_ask_for_nothing(text: str) -> None:
    assert quoted(text) == b""


@pytest.mark.parametrize("letter", ["a", "é", "好", "🍎"])
def test_what_is_too_long_is_cut_behind_a_whole_code_point(letter: str) -> None:
    cut = quoted(f"“x{letter * 300}”")
    size = len(letter.encode())
    assert cut.decode() == "x" + letter * ((MAX_BYTES - 1) // size)
    assert quoted(f"“{letter * 5}”", max_bytes=2 * size + size - 1).decode() == letter * 2


def test_a_pack_gives_every_sample_what_it_gets_alone(encoder: GlyphEncoder) -> None:
    glyphs = packed(PASSAGES)
    assert glyphs.lengths.tolist() == [len(each) for each in PASSAGES]
    together = encoder(*glyphs).split(glyphs.lengths.tolist())
    for passage, states in zip(PASSAGES, together, strict=True):
        torch.testing.assert_close(encoder(*packed([passage])), states, atol=1e-5, rtol=1e-5)


def test_gradients_of_a_pack_are_the_sum_of_those_alone_and_none_is_lost(encoder: GlyphEncoder) -> None:
    def gradients(passages: list[bytes]) -> list[torch.Tensor]:
        encoder.zero_grad()
        encoder(*packed(passages)).square().sum().backward()
        return [parameter.grad.clone() for parameter in encoder.parameters() if parameter.grad is not None]

    alone = [gradients([passage]) for passage in PASSAGES if passage]
    for whole, *parts in zip(gradients(PASSAGES), *alone, strict=True):
        torch.testing.assert_close(whole, torch.stack(parts).sum(0), atol=1e-3, rtol=1e-4)
        assert whole.isfinite().all()


def test_nothing_to_render_has_no_states(encoder: GlyphEncoder) -> None:
    assert encoder(*packed([b"", b""])).shape == (0, 20)
    assert encoder(*packed([])).shape == (0, 20)


def test_spelling_is_read_in_order_and_in_both_directions(encoder: GlyphEncoder) -> None:
    first, other = encoder(*packed([b"abc"])), encoder(*packed([b"abd"]))
    assert not torch.allclose(first[0], other[0], atol=1e-4)
    assert not torch.allclose(encoder(*packed([b"ab"])).mean(0), encoder(*packed([b"ba"])).mean(0), atol=1e-5)
