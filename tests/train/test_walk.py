"""The walk: every epoch whole, every position computed, neighbours kept near."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train import walk
from train.walk import Shuffle, Walk

SMALL = Shuffle(clump_samples=3, window_clumps=2)


def walk_of(weights: list[float], *, shuffle: Shuffle = SMALL, seed: int = 0) -> Walk:
    members = np.flatnonzero(np.array(weights) > 0)
    return Walk(members, np.array(weights, dtype=np.float32), key=(seed, "stage", "t2i"), shuffle=shuffle)


def epoch_of(walked: Walk, epoch: int) -> list[int]:
    first, end = walked.first_of(epoch), walked.first_of(epoch + 1)
    return walked.take(first, end - first).samples.tolist() if end > first else []


@given(num=st.integers(1, 60), clump=st.integers(1, 9), window=st.integers(1, 5), epoch=st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_an_epoch_has_every_sample_once(num: int, clump: int, window: int, epoch: int) -> None:
    walked = walk_of([1.0] * num, shuffle=Shuffle(clump, window))
    assert sorted(epoch_of(walked, epoch)) == list(range(num))


@given(
    weights=st.lists(st.floats(0.0, 5.0, width=32), min_size=1, max_size=40).filter(lambda weights: max(weights) > 0.01),
    epoch=st.integers(0, 10**6), seed=st.integers(0, 9),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_a_sample_appears_as_often_as_its_weight_rounded_down_or_up(weights: list[float], epoch: int, seed: int) -> None:
    seen = Counter(epoch_of(walk_of(weights, seed=seed), epoch))
    for sample, weight in enumerate(weights):
        assert np.floor(weight - 1e-6) <= seen[sample] <= np.ceil(weight + 1e-6)


def test_weights_are_appearances_per_epoch() -> None:
    weights = [0.3, 0.5, 1.0, 2.25, 0.05, 0.7, 0.7, 0.7]
    num_epochs, walked = 2000, walk_of(weights)
    seen = Counter(walked.take(0, walked.first_of(num_epochs)).samples.tolist())
    spread = [np.sqrt(max(weight % 1 * (1 - weight % 1), 1e-4) / num_epochs) for weight in weights]
    for sample, weight in enumerate(weights):
        assert seen[sample] / num_epochs == pytest.approx(weight, abs=4 * spread[sample])
    assert walked.first_of(num_epochs) == pytest.approx(num_epochs * sum(weights), abs=1)


@given(
    weights=st.lists(st.sampled_from([0.2, 0.5, 1.0, 3.0]), min_size=1, max_size=30),
    first=st.integers(0, 10**12), cuts=st.lists(st.integers(1, 40), min_size=1, max_size=6),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_walk_taken_in_parts_is_the_walk_taken_whole(weights: list[float], first: int, cuts: list[int]) -> None:
    whole, walked = walk_of(weights).take(first, sum(cuts)), walk_of(weights)
    starts = first + np.concatenate([[0], np.cumsum(cuts)[:-1]])
    parts = [walked.take(int(start), cut) for start, cut in zip(starts, cuts, strict=True)]
    assert np.concatenate([part.samples for part in parts]).tolist() == whole.samples.tolist()
    assert np.concatenate([part.epochs for part in parts]).tolist() == whole.epochs.tolist()


@given(weights=st.lists(st.sampled_from([0.3, 0.75, 1.0, 2.5]), min_size=1, max_size=9), position=st.integers(0, 10**15))
@settings(max_examples=100, deadline=None)
def test_a_position_lies_in_the_epoch_it_is_said_to(weights: list[float], position: int) -> None:
    walked = walk_of(weights)
    epoch = walked.epoch_at(position)
    assert walked.first_of(epoch) <= position < walked.first_of(epoch + 1)


def test_a_far_position_shuffles_one_window_and_no_epoch_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[tuple[int | str, ...]] = []
    made = walk._generator
    monkeypatch.setattr(walk, "_generator", lambda *key: (keys.append(key), made(*key))[1])
    walked = walk_of([0.5, 1.5, 1.0, 0.25] * 25)
    stretch = walked.take(10**14, 1)
    epoch = int(stretch.epochs[0])
    assert epoch > 10**11
    assert [key[3:] for key in keys] == [(epoch,), (epoch, keys[-1][-1])]


def test_epochs_are_shuffled_each_in_its_own_way() -> None:
    walked = walk_of([1.0] * 50)
    orders = {tuple(epoch_of(walked, epoch)) for epoch in range(20)}
    assert len(orders) == 20
    assert tuple(epoch_of(walk_of([1.0] * 50, seed=1), 0)) not in orders


def test_a_window_reads_few_stretches_of_the_table() -> None:
    shuffle = Shuffle(clump_samples=16, window_clumps=4)
    order = epoch_of(walk_of([1.0] * 1600, shuffle=shuffle), 0)
    for start in range(0, 1600, 64):
        window = order[start : start + 64]
        assert len({sample // 16 for sample in window}) == 4
        assert window != sorted(window)


def test_windows_of_an_epoch_mix_distant_clumps() -> None:
    order = epoch_of(walk_of([1.0] * 1600, shuffle=Shuffle(clump_samples=16, window_clumps=4)), 0)
    reach = [max(order[start : start + 64]) - min(order[start : start + 64]) for start in range(0, 1600, 64)]
    assert np.median(reach) > 800
