from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.verdict import JUDGED_COLUMNS, LimitsConfig, _close_pairs, judge

LIMITS = LimitsConfig(min_side_px=32, min_alpha_cover=0.05, min_sharpness=10, near_duplicate_bits=2, near_duplicate_cosine=0.99)
GOOD = {
    "text_en": "red apple", "style": "flat", "tone": "", "gender": "", "colour": "red", "parents": [],
    "width_px": 64, "height_px": 64, "sharpness": 50.0, "alpha_cover": 0.5, "verdict": None, "verdict_reasons": None,
}  # fmt: skip


def _rows(*changes: dict) -> pa.Table:
    """Rows that differ from each other in every hash, changed as told."""
    hashes = [{"id": f"r{i}", "exact_hash": f"h{i}", "perceptual_hash": (0xABC << (9 * i)) % 2**64} for i in range(len(changes))]
    rows = [GOOD | own | change for own, change in zip(hashes, changes, strict=True)]
    columns = {name: [row[name] for row in rows] for name in JUDGED_COLUMNS}
    columns["verdict_reasons"] = pa.array(columns["verdict_reasons"], pa.list_(pa.string()))
    columns["perceptual_hash"] = pa.array(columns["perceptual_hash"], pa.uint64())
    return pa.table(columns)


def _same_features(rows: np.ndarray) -> np.ndarray:
    return np.ones((len(rows), 4), np.float32)


def _other_features(rows: np.ndarray) -> np.ndarray:
    return np.eye(64, dtype=np.float32)[rows]


def test_a_row_breaking_no_limit_is_kept() -> None:
    assert judge(_rows({}), LIMITS, features_at=_same_features) == [("kept", ())]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"width_px": 31}, "too_small"),
        ({"alpha_cover": 0.0}, "blank"),
        ({"alpha_cover": 0.04}, "blank"),
        ({"sharpness": 9.9}, "blurred"),
        ({"text_en": "  "}, "no_text"),
    ],
)
def test_each_limit_has_its_reason(change: dict, reason: str) -> None:
    assert judge(_rows({}, change), LIMITS, features_at=_same_features)[1] == ("dropped", (reason,))


def test_all_reasons_are_given_in_their_fixed_order() -> None:
    (found,) = judge(_rows({"text_en": "", "sharpness": 0.0, "height_px": 8}), LIMITS, features_at=_same_features)
    assert found == ("dropped", ("too_small", "blurred", "no_text"))


def test_quarantined_rows_stay_quarantined_and_shadow_nobody() -> None:
    unmeasured = ("width_px", "height_px", "exact_hash", "perceptual_hash", "sharpness", "alpha_cover")
    unread = {"verdict": "quarantined", "verdict_reasons": ["unreadable"], **dict.fromkeys(unmeasured)}
    found = judge(_rows(unread, {}, unread), LIMITS, features_at=_same_features)
    assert found == [("quarantined", ("unreadable",)), ("kept", ()), ("quarantined", ("unreadable",))]


def test_of_equal_pictures_the_lowest_id_stays() -> None:
    found = judge(_rows({"id": "b", "exact_hash": "x"}, {"id": "a", "exact_hash": "x"}), LIMITS, features_at=_other_features)
    assert [one.verdict for one in found] == ["dropped", "kept"]
    assert found[0].reasons == ("duplicate_exact",)


def test_near_duplicates_need_hash_and_features_and_words_to_agree() -> None:
    near = {"perceptual_hash": 0b11}
    rows = _rows({"perceptual_hash": 0b00}, near)
    assert judge(rows, LIMITS, features_at=_same_features)[1].reasons == ("duplicate_near",)
    assert judge(rows, LIMITS, features_at=_other_features)[1].verdict == "kept"
    different = [near | {word: "other"} for word in ("style", "tone", "gender", "colour")] + [{"perceptual_hash": 0b111}]
    for change in different:
        rows = _rows({"perceptual_hash": 0}, change)
        assert judge(rows, LIMITS, features_at=_same_features)[1].verdict == "kept", change


def test_composed_pictures_are_no_near_duplicates_of_their_parents() -> None:
    rows = _rows({"perceptual_hash": 0}, {"perceptual_hash": 0, "parents": ["r0"]})
    assert [one.verdict for one in judge(rows, LIMITS, features_at=_same_features)] == ["kept", "kept"]


def test_near_duplicates_do_not_chain() -> None:
    """0 - 2 bits - 1 - 2 bits - 2: the middle goes, the last resembles only a dropped row and stays."""
    rows = _rows({"perceptual_hash": 0b0000}, {"perceptual_hash": 0b0011}, {"perceptual_hash": 0b1111})
    assert [one.verdict for one in judge(rows, LIMITS, features_at=_same_features)] == ["kept", "dropped", "kept"]


def _by_hand(hashes: list[int], max_bits: int) -> set[tuple[int, int]]:
    return {(a, b) for a, b in combinations(range(len(hashes)), 2) if (hashes[a] ^ hashes[b]).bit_count() <= max_bits}


@given(st.lists(st.integers(0, 255), min_size=2, max_size=20), st.integers(0, 4))
def test_banding_finds_every_close_pair(values: list[int], max_bits: int) -> None:
    spread = [value * 0x0101010101010101 for value in values]
    for hashes in (values, spread):
        assert _close_pairs(np.array(hashes, dtype=np.uint64), max_bits) == _by_hand(hashes, max_bits)
