"""The vocabulary that is one tensor."""

import subprocess
import sys

import pytest
import torch

from models.byte_pairs import NO_MERGE, NUM_SPECIAL, SMALLEST, START, Words, learnt_merges

TEXTS = ["A flat apple in flat style.", "扁平风格的苹果", "A flat pear.", "扁平风格的梨"] * 4
NUM_TOKENS = SMALLEST + 40


@pytest.fixture(scope="module")
def words() -> Words:
    return Words(learnt_merges(TEXTS, num_tokens=NUM_TOKENS))


def test_every_text_begins_with_the_start_and_an_empty_one_has_nothing_else(words: Words) -> None:
    empty, some = words.tokens(["", "pear"], max_tokens=64)
    assert empty == [START]
    assert some[0] == START
    assert len(some) > 1


def test_what_was_met_takes_few_tokens_and_what_was_not_takes_its_bytes(words: Words) -> None:
    met, unmet = words.tokens(["a flat", "龘"], max_tokens=64)
    assert len(met) == 3
    assert len(unmet) == 1 + len("龘".encode())


def test_han_characters_stay_apart_and_case_is_not_kept(words: Words) -> None:
    one, both, upper, lower = words.tokens(["风", "风格", "FLAT", "flat"], max_tokens=64)
    assert len(one) == 2
    assert both[:2] == one
    assert len(both) == 3
    assert upper == lower


def test_texts_are_cut(words: Words) -> None:
    assert len(words.tokens(["pear " * 100], max_tokens=10)[0]) == 10


def test_rows_left_over_are_marked_and_do_no_harm() -> None:
    merges = learnt_merges(["ab ab"], num_tokens=SMALLEST + 9)
    assert merges[0, 0] != NO_MERGE
    assert (merges[-1] == NO_MERGE).all()
    assert len(Words(merges).tokens(["ab"], max_tokens=9)[0]) == 2


def test_merges_name_tokens_before_them() -> None:
    merges = learnt_merges(TEXTS, num_tokens=NUM_TOKENS)
    merges = merges[merges[:, 0] != NO_MERGE]
    assert len(merges) > 10
    assert (merges < SMALLEST + torch.arange(len(merges))[:, None]).all()
    assert (merges >= NUM_SPECIAL).all()


def test_another_process_learns_the_same() -> None:
    program = (
        "from models.byte_pairs import learnt_merges; "
        f"print(learnt_merges({TEXTS!r}, num_tokens={NUM_TOKENS}).tolist())"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(learnt_merges(TEXTS, num_tokens=NUM_TOKENS).tolist())
