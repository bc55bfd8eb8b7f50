import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.taxonomy.leaves import Domain, Examples, Keywords, Leaf, Taxonomy
from curation.taxonomy.loading import load_taxonomy
from curation.taxonomy.quotas import Starving, leaf_quotas, quotas_in


def of_shares(*shares: float) -> Taxonomy:
    """A taxonomy of one domain with leaves t/a, t/b, ... of these shares."""
    leaves = tuple(
        Leaf(
            id=f"t/{chr(97 + place)}", parent="t", definition="A leaf of a test.", share=share, difficulty="easy",
            keywords=Keywords(en=("aa", "bb", "cc", "dd"), zh=("甲", "乙", "丙", "丁")),
            examples=Examples(en=("An example",), zh=("一个例子而已",)),
        )
        for place, share in enumerate(shares)
    )  # fmt: skip
    return Taxonomy(domains=(Domain(domain="t", definition="A domain of a test.", share=1, facet="subject", leaves=leaves),))


SHARES = st.lists(st.integers(1, 1000), min_size=1, max_size=8)
COUNTS = st.lists(st.integers(0, 400), min_size=8, max_size=8)


def taxonomy_and_stock(weights: list[int], counts: list[int]) -> tuple[Taxonomy, dict[str, int]]:
    taxonomy = of_shares(*(weight / sum(weights) for weight in weights))
    return taxonomy, dict(zip(taxonomy.shares, counts, strict=False))


def test_plenty_of_everything_gives_each_leaf_its_share():
    quotas = leaf_quotas(1000, of_shares(0.5, 0.3, 0.2), available={"t/a": 9999, "t/b": 9999, "t/c": 9999})
    assert quotas == ({"t/a": 500, "t/b": 300, "t/c": 200}, (), 0)


def test_what_a_poor_leaf_cannot_give_is_spread_by_shares():
    quotas = leaf_quotas(1000, of_shares(0.5, 0.3, 0.2), available={"t/a": 100, "t/b": 9999, "t/c": 9999})
    assert quotas.targets == {"t/a": 100, "t/b": 540, "t/c": 360}
    assert quotas.starving == (Starving("t/a", wanted=500, found=100),)


def test_the_spread_runs_dry_in_turn():
    """After a's lack is spread, b wants 540 and has 400; the rest falls to c."""
    quotas = leaf_quotas(1000, of_shares(0.5, 0.3, 0.2), available={"t/a": 100, "t/b": 400, "t/c": 9999})
    assert quotas.targets == {"t/a": 100, "t/b": 400, "t/c": 500}
    assert quotas.starving == (Starving("t/a", wanted=500, found=100),)


def test_whole_numbers_go_by_largest_remainder_and_ties_by_name():
    plenty = {"t/a": 99, "t/b": 99, "t/c": 99, "t/d": 99}
    assert leaf_quotas(10, of_shares(0.46, 0.29, 0.25), available={"t/a": 99, "t/b": 99, "t/c": 99}).targets == {
        "t/a": 5, "t/b": 3, "t/c": 2,
    }  # fmt: skip
    assert leaf_quotas(6, of_shares(0.25, 0.25, 0.25, 0.25), available=plenty).targets == {"t/a": 2, "t/b": 2, "t/c": 1, "t/d": 1}


def test_too_few_in_all_is_told():
    quotas = leaf_quotas(100, of_shares(0.5, 0.5), available={"t/a": 7})
    assert quotas.targets == {"t/a": 7, "t/b": 0}
    assert quotas.unmet == 93
    assert quotas.starving == (Starving("t/b", 50, 0), Starving("t/a", 50, 7))


@pytest.mark.parametrize(
    ("total", "available", "message"),
    [
        (-1, {}, "total is -1"),
        (5, {"t/z": 3}, "counts for t/z, which taxonomy"),
        (5, {"t/a": -3}, "negative counts for t/a"),
    ],
)
def test_counts_that_make_no_sense_are_refused(total, available, message):
    with pytest.raises(ValueError, match=message):
        leaf_quotas(total, of_shares(1.0), available=available)


@given(SHARES, COUNTS, st.integers(0, 2000))
def test_targets_add_up_and_stay_within_what_there_is(weights, counts, total):
    taxonomy, stock = taxonomy_and_stock(weights, counts)
    quotas = leaf_quotas(total, taxonomy, available=stock)
    assert quotas.targets.keys() == taxonomy.shares.keys()
    assert all(0 <= quotas.targets[leaf] <= stock[leaf] for leaf in stock)
    assert sum(quotas.targets.values()) == min(total, sum(stock.values()))
    assert quotas.unmet == total - sum(quotas.targets.values())


@given(SHARES, COUNTS, st.integers(0, 2000))
def test_leaves_with_pictures_to_spare_stand_at_one_level(weights, counts, total):
    """Water-filling: leaves that are not empty have targets in proportion to shares, to within one picture."""
    taxonomy, stock = taxonomy_and_stock(weights, counts)
    targets = leaf_quotas(total, taxonomy, available=stock).targets
    spare = [leaf for leaf in stock if targets[leaf] < stock[leaf]]
    weight = sum(taxonomy.shares[leaf] for leaf in spare)
    water = sum(targets[leaf] for leaf in spare)
    for leaf in spare:
        share = taxonomy.shares[leaf] / weight
        assert abs(targets[leaf] - water * share) < 1 + len(stock) * share + 1e-6


@given(SHARES, COUNTS, st.integers(0, 2000))
def test_starving_leaves_are_those_below_their_share(weights, counts, total):
    taxonomy, stock = taxonomy_and_stock(weights, counts)
    endless = dict(zip(stock, [total] * len(stock), strict=True))
    plenty = leaf_quotas(total, taxonomy, available=endless).targets
    starving = leaf_quotas(total, taxonomy, available=stock).starving
    assert {lack.leaf: (lack.wanted, lack.found) for lack in starving} == {
        leaf: (plenty[leaf], stock[leaf]) for leaf in stock if stock[leaf] < plenty[leaf]
    }


def test_the_shipped_shares_are_met_to_the_picture():
    taxonomy = load_taxonomy()
    quotas = leaf_quotas(1_000_000, taxonomy, available=dict.fromkeys(taxonomy.leaves, 10 ** 6))
    assert sum(quotas.targets.values()) == 1_000_000
    assert all(abs(quotas.targets[leaf] - 1e6 * share) < 1 for leaf, share in taxonomy.shares.items())


def test_quotas_become_a_rule_that_has_no_room_for_rows_of_no_leaf():
    quotas = leaf_quotas(10, of_shares(0.7, 0.3), available={"t/a": 4, "t/b": 99})
    rule = quotas_in("leaf", quotas)
    assert (rule.column, dict(rule.rows), rule.otherwise) == ("leaf", {"t/a": 4, "t/b": 6}, 0)
