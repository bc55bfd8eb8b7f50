"""Spreading over slots and cutting into packs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.balance import Limits, Placement, packed, place

sizes = st.lists(st.integers(1, 60), min_size=1, max_size=60).map(lambda found: np.array(sorted(found, reverse=True)))


def loads(placed: Placement, flops: np.ndarray, num_slots: int) -> list[float]:
    found = [float(sum(flops[item] for pack in packs for item in pack)) for packs in placed.slots]
    for item, slots in placed.shared:
        for slot in slots:
            found[slot] += flops[item] / len(slots)
    assert len(found) == num_slots
    return found


@given(tokens=sizes, groups=st.integers(1, 5), context=st.integers(1, 4), cap=st.integers(5, 60))
@settings(max_examples=150, deadline=None)
def test_every_sample_has_one_place_and_packs_keep_to_the_cap(tokens: np.ndarray, groups: int, context: int, cap: int) -> None:
    placed = place(tokens.astype(float), tokens, Limits(groups * context, cap, context))
    packs = [pack for packs in placed.slots for pack in packs]
    assert sorted([item for pack in packs for item in pack] + [item for item, _ in placed.shared]) == list(range(len(tokens)))
    for pack in packs:
        assert sum(tokens[item] for item in pack) <= cap or (len(pack) == 1 and context == 1)
    for item, slots in placed.shared:
        assert tokens[item] > cap
        assert len(slots) == context > 1
        assert slots.start % context == 0


@given(tokens=sizes, num_slots=st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_the_fullest_slot_is_within_grahams_bound(tokens: np.ndarray, num_slots: int) -> None:
    flops = tokens.astype(float) ** 2
    placed = place(flops, tokens, Limits(num_slots, 1000, 1))
    least = max(flops.sum() / num_slots, flops.max())  # no way of spreading does better than this
    assert max(loads(placed, flops, num_slots)) <= flops.sum() / num_slots + flops.max() * (1 - 1 / num_slots) + 1e-6
    assert max(loads(placed, flops, num_slots)) <= 2 * least


def test_a_long_sample_is_divided_and_the_rest_fills_up_what_it_leaves() -> None:
    tokens = np.array([100, *[10] * 30])
    placed = place(tokens.astype(float), tokens, Limits(4, 40, 2))
    assert [(item, list(slots)) for item, slots in placed.shared] == [(0, [0, 1])]
    assert loads(placed, tokens.astype(float), 4) == [100.0] * 4


def test_packs_are_few_and_evenly_filled() -> None:
    tokens = np.array([6, 5, 5, 4, 3, 3])
    packs = packed(range(6), tokens, max_tokens=16)
    assert sorted(sum(tokens[item] for item in pack) for pack in packs) == [13, 13]


def test_first_fit_stands_where_even_packs_would_be_too_large() -> None:
    tokens = np.array([5, 5, 4, 4, 4])
    packs = packed(range(5), tokens, max_tokens=12)
    assert sorted(sum(tokens[item] for item in pack) for pack in packs) == [10, 12]


@given(tokens=sizes, cap=st.integers(60, 200))
@settings(max_examples=100, deadline=None)
def test_at_most_one_pack_is_half_empty(tokens: np.ndarray, cap: int) -> None:
    packs = packed(range(len(tokens)), tokens, max_tokens=cap)
    assert (len(packs) - 1) * cap < 2 * tokens.sum()


@pytest.mark.parametrize("num_slots", [1, 3])
def test_no_sample_gives_no_pack(num_slots: int) -> None:
    placed = place(np.array([1.0]), np.array([1]), Limits(num_slots, 4, 1))
    assert [len(packs) for packs in placed.slots] == [1, *[0] * (num_slots - 1)]
