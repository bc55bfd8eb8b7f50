from curation.splits import split_of, unit_draw


def test_a_draw_depends_on_its_key_alone() -> None:
    assert unit_draw("a", 1) == unit_draw("a", 1)
    assert unit_draw("a", 1) != unit_draw("a", 2)
    assert unit_draw("ab", "c") != unit_draw("a", "bc")


def test_draws_are_uniform() -> None:
    draws = sorted(unit_draw("test", number) for number in range(2000))
    largest_gap_to_uniform = max(abs(draw - (rank + 0.5) / 2000) for rank, draw in enumerate(draws))
    assert draws[0] >= 0
    assert draws[-1] < 1
    assert largest_gap_to_uniform < 0.04  # Kolmogorov-Smirnov at p = 0.003


def test_the_held_out_share_is_met_and_grows_without_moving_concepts_back() -> None:
    concepts = [f"concept {number}" for number in range(3000)]
    small = {concept for concept in concepts if split_of(concept, heldout_share=0.1, seed=3) == "heldout"}
    large = {concept for concept in concepts if split_of(concept, heldout_share=0.3, seed=3) == "heldout"}
    assert 250 < len(small) < 350
    assert small < large


def test_nothing_is_held_out_at_share_zero_and_another_seed_holds_out_others() -> None:
    concepts = [f"concept {number}" for number in range(500)]
    assert all(split_of(concept, heldout_share=0.0, seed=0) == "train" for concept in concepts)
    splits = [[split_of(concept, heldout_share=0.5, seed=seed) for concept in concepts] for seed in (0, 1)]
    assert splits[0] != splits[1]
