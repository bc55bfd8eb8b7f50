from random import Random

import pytest

from curation.signals.text_quality import LEARNT_KINDS
from curation.text_training import corruptions
from curation.text_training.corpus import examples


def test_texts_are_the_same_for_a_seed_and_no_text_is_in_both_splits() -> None:
    training = examples(is_heldout=False, scale=0.05)
    assert training == examples(is_heldout=False, scale=0.05)
    assert training != examples(is_heldout=False, scale=0.05, seed=1)
    heldout = examples(is_heldout=True, scale=0.2)
    shared = {one.text for one in training} & {one.text for one in heldout}
    assert not shared
    assert {one.kind for one in training} == {one.kind for one in heldout} == set(LEARNT_KINDS)
    assert {one.language for one in training} == {"en", "zh"}


@pytest.mark.parametrize("text", ["A red apple on a wooden table.", "木桌上的红苹果。"])
def test_a_garbled_text_is_another_one(text: str) -> None:
    made = {corruptions.garbled(text, Random(seed)) for seed in range(40)}
    assert text not in made
    assert len(made) > 20


@pytest.mark.parametrize(("text", "is_chinese"), [("A red apple on a wooden table.", False), ("木桌上的红苹果。", True)])
def test_a_repetitive_text_says_something_at_least_three_times(text: str, is_chinese: bool) -> None:
    for seed in range(40):
        made = corruptions.repetitive(text, Random(seed), is_chinese=is_chinese)
        pieces = {made[start : start + length] for length in range(1, 48) for start in range(len(made) - 3 * length + 1)}
        assert any(piece * 3 in made or (piece + " ") * 3 in made + " " for piece in pieces), made
