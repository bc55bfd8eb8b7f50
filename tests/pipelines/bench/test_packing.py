"""The packing benchmark: what it counts, on mixes small enough to count by hand."""

import numpy as np
import pytest

from curation.tasks import TASKS
from models.cost import Cost
from pipelines.bench import packing
from pipelines.bench.packing_mixes import Mix, chosen, corpus, large_pictures, without_long
from pipelines.bench.packing_peers import bucketed, greedy_by_tokens, packed_locally, padded
from train.plan import Sizes

LINEAR = Cost(per_clean_token=1.0, per_noisy_token=1.0, per_pair=0.0)
ORDER = np.arange(8)


def mix_of(clean: list[int], noisy: list[int]) -> Mix:
    sizes = Sizes(
        tasks=np.zeros(len(clean), dtype=np.int8), task_names=TASKS, weights=np.ones(len(clean), dtype=np.float32),
        clean_tokens=np.array(clean), noisy_tokens=np.array(noisy),
    )  # fmt: skip
    return Mix(sizes, np.array(clean), LINEAR, {"t2i": 1.0})


MIX = mix_of([1, 3, 1, 1, 2, 2, 1, 1], [4, 4, 8, 8, 4, 4, 4, 8])


def test_padding_costs_every_sample_as_much_as_the_longest_of_its_rank() -> None:
    loads, useful = padded(MIX, ORDER, num_ranks=2, batch=2)
    assert loads.tolist() == [[2 * 7, 2 * 9], [2 * 6, 2 * 9]]
    assert useful == 12 + 44
    assert packing._share(loads, useful) == pytest.approx(56 / (2 * (18 + 18)))


def test_buckets_pad_only_what_is_of_unlike_length_within_an_area() -> None:
    loads, useful = bucketed(MIX, ORDER, num_ranks=1, budget=18)
    assert loads.ravel().tolist() == [2 * 9, 3 * 7]  # two large targets, three small ones; the others wait
    assert useful == (9 + 9) + (5 + 7 + 6)


def test_a_rank_fills_its_step_with_samples_of_its_own() -> None:
    loads, useful = packed_locally(MIX, ORDER, num_ranks=2, budget=15)
    assert loads.tolist() == [[5 + 9, 7]]  # 7 + 9 are too many; a second step is not full on every rank
    assert useful == 14 + 7


def test_greedy_by_tokens_gives_the_longest_to_the_emptiest_rank() -> None:
    loads, useful = greedy_by_tokens(MIX, [ORDER], num_ranks=2)
    assert sorted(loads[0]) == [27, 29]
    assert useful == 56


def test_our_steps_have_the_operations_of_the_samples_they_name() -> None:
    mix = large_pictures(2000)
    case = packing._Case(mix, 8, 6, context_slots=4)
    step = packing._plan(case).step(3)
    assert len(packing._samples(step)) == 48
    assert sum(packing._loads(step, mix.flops())) == pytest.approx(mix.flops()[packing._samples(step)].sum())
    assert step.shared


def test_every_way_uses_at_most_all_of_the_hardware() -> None:
    for way, share in packing._utilisations(packing._Case(corpus(2000), 2, 20), 3).items():
        assert 0.3 < share <= 1 + 1e-9, way


def test_every_case_is_held_to_a_bound_and_the_recipe_s_small_batch_to_one_of_its_own() -> None:
    shares = {"utilisation_recipe": 0.96, "utilisation_64": 0.989, "utilisation_256": 0.99}
    assert packing._checks(shares) == {
        "utilisation_recipe is at least 0.95 (0.9600)": True,
        "utilisation_64 is at least 0.99 (0.9890)": False,
        "utilisation_256 is at least 0.99 (0.9900)": True,
    }
    assert not any(packing._checks({"utilisation_recipe": 0.949}).values())


def test_the_corpus_is_told_no_more_than_its_bound_allows() -> None:
    mix = corpus(3000)
    assert (mix.told_tokens <= mix.sizes.clean_tokens).all()
    for number, references in enumerate((0, 1, 2)):
        assert mix.told_tokens[mix.sizes.tasks == number].min() >= 16 * references + 4


def test_large_pictures_have_the_areas_and_references_that_are_said() -> None:
    sizes = large_pictures(5000).sizes
    assert {int(cells).bit_length() for cells in sizes.noisy_tokens} >= {9, 11, 12, 13, 15}
    assert sizes.noisy_tokens.min() > 230
    assert sizes.noisy_tokens.max() < 17_000
    assert sizes.clean_tokens[sizes.tasks == 0].max() <= 300 < sizes.clean_tokens[sizes.tasks == 1].max()


def test_the_fitting_mix_has_no_sample_above_the_cap() -> None:
    mix = large_pictures(3000)
    fitting = without_long(mix, 16_384)
    tokens = mix.sizes.clean_tokens + mix.sizes.noisy_tokens
    assert len(fitting.told_tokens) == (tokens <= 16_384).sum() < 3000
    assert chosen(fitting.sizes, np.array([0])).noisy_tokens[0] == mix.sizes.noisy_tokens[tokens <= 16_384][0]
