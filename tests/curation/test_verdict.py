"""Deciding: every row gets one verdict and all its reasons, whatever the order of the rows."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.balance import BalanceConfig, LeafAxis, QuotaConfig
from curation.dedup.rule import DedupConfig, NearConfig
from curation.evidence import Evidence
from curation.predicates import AtLeast, TextLength
from curation.verdict import (
    DROPPED,
    KEPT,
    QUARANTINED,
    VERDICTS,
    DecisionConfig,
    Failed,
    columns_of,
    decide,
    digest,
    digest_of_parts,
    digest_sums,
    reasons_of,
)
from infra.errors import UserError
from pipelines.overrides import apply

NEAR = NearConfig(
    hashes="perceptual_hash", bits=2, cosine=0.99, same=("style", "tone", "gender", "colour"), parents="parents", cells=None
)
RULES = DecisionConfig(
    leaf="category",
    quarantine=Failed(columns=("pixels_error",), reasons=("unreadable", "too_large"), otherwise="failed"),
    drop=(
        AtLeast(reason="too_small", columns=("width_px", "height_px"), limit=32),
        AtLeast(reason="blank", columns=("alpha_cover",), limit=0.05),
        AtLeast(reason="blurred", columns=("sharpness",), limit=10, by_leaf={"chart": 2}),
        TextLength(reason="no_text", column="text_en", low=1, high=None),
    ),
    dedup=DedupConfig(exact="exact_hash", prefer=("width_px",), near=NEAR, memory_bytes=1 << 24),
    features="image_features",
    balance=None,
    quotas=None,
    seed=0,
)
GOOD = {
    "text_en": "red apple", "style": "flat", "tone": "", "gender": "", "colour": "red", "parents": [], "category": "food",
    "width_px": 64, "height_px": 64, "sharpness": 50.0, "alpha_cover": 0.5, "pixels_error": None,
}  # fmt: skip


def _rows(*changes: dict) -> pa.Table:
    """Rows that differ from each other in every hash, changed as told."""
    hashes = [{"id": f"r{i}", "exact_hash": f"h{i}", "perceptual_hash": (0xABC << (9 * i)) % 2**64} for i in range(len(changes))]
    rows = [GOOD | own | change for own, change in zip(hashes, changes, strict=True)]
    columns = {name: pa.array([row[name] for row in rows]) for name in (*GOOD, "id", "exact_hash", "perceptual_hash")}
    types = {"pixels_error": pa.string(), "perceptual_hash": pa.uint64(), "parents": pa.list_(pa.string())}
    types |= {"exact_hash": pa.string(), "sharpness": pa.float32(), "alpha_cover": pa.float32()}
    return pa.table({name: values.cast(types.get(name, values.type)) for name, values in columns.items()})


def _same_features(rows: np.ndarray) -> np.ndarray:
    return np.ones((len(rows), 4), np.float32)


def _other_features(rows: np.ndarray) -> np.ndarray:
    return np.eye(64, dtype=np.float32)[rows]


def _judged(rows: pa.Table, rules: DecisionConfig = RULES, features=_same_features) -> list[tuple[str, tuple[str, ...]]]:
    decision = decide(Evidence(rows, features=features), rules)
    masks = [[name for place, name in enumerate(decision.names) if int(mask) >> place & 1] for mask in decision.reasons]
    return [(VERDICTS[verdict], tuple(names)) for verdict, names in zip(decision.verdict.tolist(), masks, strict=True)]


def test_a_row_breaking_no_rule_is_kept() -> None:
    assert _judged(_rows({})) == [("kept", ())]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"width_px": 31}, "too_small"),
        ({"height_px": 31}, "too_small"),
        ({"alpha_cover": 0.0}, "blank"),
        ({"alpha_cover": 0.04}, "blank"),
        ({"sharpness": 9.9}, "blurred"),
        ({"sharpness": float("nan")}, "blurred"),
        ({"text_en": "  "}, "no_text"),
    ],
)
def test_each_rule_has_its_reason(change: dict, reason: str) -> None:
    assert _judged(_rows({}, change))[1] == ("dropped", (reason,))


def test_limits_may_be_other_ones_for_a_leaf() -> None:
    dull = {"sharpness": 5.0}
    assert [verdict for verdict, _ in _judged(_rows(dull, dull | {"category": "chart"}))] == ["dropped", "kept"]


def test_all_reasons_are_given_in_their_fixed_order_and_the_first_is_known() -> None:
    rows = _rows({"text_en": "", "sharpness": 0.0, "height_px": 8}, {}, {"text_en": ""})
    assert _judged(rows)[0] == ("dropped", ("too_small", "blurred", "no_text"))
    decision = decide(Evidence(rows, features=_same_features), RULES)
    assert [decision.names[place] if place >= 0 else None for place in decision.first_reason] == ["too_small", None, "no_text"]


def test_a_failed_signal_quarantines_by_the_class_of_its_error_and_shadows_nobody() -> None:
    unmeasured = dict.fromkeys(("width_px", "height_px", "exact_hash", "perceptual_hash", "sharpness", "alpha_cover"))
    errors = ["too_large: 10^9 pixels", "OSError: nobody knows", "unreadable"]
    found = _judged(_rows({}, *(unmeasured | {"pixels_error": error} for error in errors)))
    assert found == [("kept", ()), *(("quarantined", (reason,)) for reason in ("too_large", "failed", "unreadable"))]


def test_a_row_without_a_value_that_a_rule_needs_is_quarantined_not_judged() -> None:
    assert _judged(_rows({"sharpness": None, "text_en": ""}, {}))[0] == ("quarantined", ("unmeasured",))


def test_of_equal_pictures_the_best_stays_then_the_lowest_id() -> None:
    same = {"exact_hash": "x"}
    found = _judged(_rows(same | {"id": "b"}, same | {"id": "a"}), features=_other_features)
    assert found == [("dropped", ("duplicate_exact",)), ("kept", ())]
    found = _judged(_rows(same | {"id": "b", "width_px": 65}, same | {"id": "a"}), features=_other_features)
    assert [verdict for verdict, _ in found] == ["kept", "dropped"]


def test_a_dropped_row_shadows_nobody() -> None:
    same = {"exact_hash": "x"}
    assert [verdict for verdict, _ in _judged(_rows(same | {"text_en": ""}, same))] == ["dropped", "kept"]
    near = _rows({"perceptual_hash": 0, "text_en": ""}, {"perceptual_hash": 1}, {"perceptual_hash": 2})
    assert [verdict for verdict, _ in _judged(near)] == ["dropped", "kept", "dropped"]


def test_near_duplicates_need_hash_and_features_and_words_to_agree() -> None:
    near = {"perceptual_hash": 0b11}
    rows = _rows({"perceptual_hash": 0b00}, near)
    assert _judged(rows)[1] == ("dropped", ("duplicate_near",))
    assert _judged(rows, features=_other_features)[1] == ("kept", ())
    different = [near | {word: "other"} for word in NEAR.same] + [{"perceptual_hash": 0b111}]
    for change in different:
        assert _judged(_rows({"perceptual_hash": 0}, change))[1] == ("kept", ()), change


def test_composed_pictures_are_no_near_duplicates_of_their_parents_but_equal_ones_are() -> None:
    composed = {"perceptual_hash": 0, "parents": ["r0"]}
    assert [verdict for verdict, _ in _judged(_rows({"perceptual_hash": 0}, composed))] == ["kept", "kept"]
    assert _judged(_rows({"exact_hash": "x"}, composed | {"exact_hash": "x"}))[1] == ("dropped", ("duplicate_exact",))


def test_near_duplicates_do_not_chain() -> None:
    """0 - 2 bits - 1 - 2 bits - 2: the middle goes, the last resembles only a dropped row and stays."""
    rows = _rows({"perceptual_hash": 0b0000}, {"perceptual_hash": 0b0011}, {"perceptual_hash": 0b1111})
    assert [verdict for verdict, _ in _judged(rows)] == ["kept", "dropped", "kept"]


def _many(num: int, seed: int) -> pa.Table:
    generator = np.random.default_rng(seed)
    changes = [
        {
            "id": f"{number}/{generator.integers(1 << 30)}", "exact_hash": f"x{generator.integers(num)}",
            "perceptual_hash": int(generator.integers(6)), "sharpness": [3.0, 20.0, None][generator.integers(3)],
            "category": str(generator.choice(["food", "chart", "map"])), "style": str(generator.choice(["flat", "line"])),
            "pixels_error": [None, None, "unreadable: cut"][generator.integers(3)],
            "width_px": int(generator.integers(20, 90)), "text_en": str(generator.choice(["", "a cat", "a dog"])),
        }
        for number in range(num)
    ]  # fmt: skip
    return _rows(*changes)


FULL = RULES.model_copy(
    update={
        "balance": BalanceConfig(leaves=LeafAxis(column="category", threshold=3), words=None, cells=None, gives="draws"),
        "quotas": QuotaConfig(column="category", rows=(("food", 2),), otherwise=None),
    }
)


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_counts_add_up_and_the_order_of_rows_changes_nothing(seed: int, num: int) -> None:
    rows = _many(num, seed)
    order = np.random.default_rng(seed).permutation(num)
    first = decide(Evidence(rows, features=_same_features), FULL)
    again = decide(Evidence(rows.take(pa.array(order)), features=_same_features), FULL)
    assert np.array_equal(first.reasons[order], again.reasons)
    assert sum(int((first.verdict == verdict).sum()) for verdict in (KEPT, DROPPED, QUARANTINED)) == num
    assert ((first.reasons == 0) == first.is_kept).all()
    assert digest(Evidence(rows).ids, first) == digest(Evidence(rows.take(pa.array(order))).ids, again)


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_digests_of_parts_add_up_and_notice_any_change(seed: int) -> None:
    rows = _many(30, seed)
    ids, decision = Evidence(rows).ids, decide(Evidence(rows, features=_same_features), FULL)
    cut = int(np.random.default_rng(seed).integers(30))
    parts = [
        digest_sums(ids[part], decision._replace(reasons=decision.reasons[part], weight=decision.weight[part]))
        for part in (slice(0, cut), slice(cut, None))
    ]
    assert digest_of_parts(parts) == digest(ids, decision)
    other = decision.reasons.copy()
    other[3] ^= np.uint64(1)
    assert digest(ids, decision._replace(reasons=other)) != digest(ids, decision)


def test_balance_and_quotas_only_take_away_and_the_quota_is_exact() -> None:
    changes = [{"category": "food" if number % 4 else "map", "perceptual_hash": number << 3} for number in range(60)]
    rows = _rows(*changes)
    plain = decide(Evidence(rows, features=_other_features), RULES)
    full = decide(Evidence(rows, features=_other_features), FULL)
    assert plain.is_kept.all()
    kept = rows["category"].filter(pa.array(full.is_kept)).to_pylist()
    assert kept.count("food") == 2
    more = FULL.model_copy(update={"quotas": QuotaConfig(column="category", rows=(("food", 3),), otherwise=None)})
    assert (decide(Evidence(rows, features=_other_features), more).is_kept | ~full.is_kept).all()


def test_weights_stand_for_draws_where_they_are_asked_for() -> None:
    rules = apply(FULL.model_copy(update={"quotas": None}), ["balance.gives=weights"])
    rows = _rows(*({"category": "food" if number else "map", "perceptual_hash": number << 3} for number in range(7)))
    decision = decide(Evidence(rows, features=_other_features), rules)
    assert decision.is_kept.all()
    assert decision.weight.tolist() == [1.0, *[0.5] * 6]
    assert "over_represented" not in decision.names


def test_columns_and_reasons_of_a_recipe_are_known_beforehand() -> None:
    assert set(columns_of(FULL)) == {*GOOD, "id", "exact_hash", "perceptual_hash"}
    assert reasons_of(FULL)[-4:] == ("duplicate_exact", "duplicate_near", "over_represented", "over_quota")
    with pytest.raises(UserError, match="reads a column 'alpha_cover' that the table lacks; there are: text_en"):
        decide(Evidence(_rows({}).drop_columns(["alpha_cover"]), features=_same_features), RULES)


def test_two_rules_with_one_reason_are_refused() -> None:
    with pytest.raises(ValueError, match="two predicates share the reason 'blank'"):
        DecisionConfig.model_validate({**RULES.model_dump(), "drop": [RULES.drop[1].model_dump()] * 2})
