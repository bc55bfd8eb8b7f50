import json
import pickle

import numpy as np
import pyarrow as pa
import pytest

from curation.active_learning import (
    Label,
    choose,
    cross_validated,
    fit,
    label_signal,
    merged,
    most_uncertain,
    parsed,
    uncertainty,
)
from curation.signals.contract import Batch
from curation.tables import FEATURE_DIM
from infra.errors import UserError


def _separable(num: int, *, seed: int = 0, width: int = 32) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Rows whose answer is the sign of one direction, blurred by as much noise in all others."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(num, width)).astype(np.float32)
    answers = random.random(num) < 0.4
    found[:, 3] += np.where(answers, 2.0, -2.0)
    return [f"r{number}" for number in range(num)], found, answers


def test_more_labels_tell_more_of_what_was_not_seen() -> None:
    _, found, answers = _separable(2_000)
    accuracy = []
    for num in (20, 80, 400):
        scores = fit(found[:num], answers[:num]).scores(found[1_000:])
        accuracy.append(float(((scores > 0.5) == answers[1_000:]).mean()))
    assert accuracy[0] < accuracy[1] < accuracy[2]
    assert accuracy[2] > 0.93


def test_held_out_accuracy_is_that_on_unseen_rows() -> None:
    ids, found, answers = _separable(200)
    held_out = cross_validated(ids, found, answers)
    _, others, truth = _separable(4_000, seed=1)
    unseen = ((fit(found, answers).scores(others) > 0.5) == truth).mean()
    assert held_out.num == 200
    assert held_out.num_right / 200 == pytest.approx(unseen, abs=0.06)
    assert held_out.num_right_always_same == max(answers.sum(), 200 - answers.sum())


def test_held_out_accuracy_of_answers_without_sense_is_that_of_guessing() -> None:
    ids, found, _ = _separable(400)
    answers = np.random.default_rng(5).random(400) < 0.5
    assert 0.4 < cross_validated(ids, found, answers).num_right / 400 < 0.6


def test_the_same_labels_give_the_same_weights() -> None:
    ids, found, answers = _separable(60)
    assert fit(found, answers).digest == fit(found.copy(), answers.copy()).digest
    assert cross_validated(ids, found, answers) == cross_validated(ids, found, answers)
    assert fit(found[1:], answers[1:]).digest != fit(found, answers).digest


def test_a_rare_answer_counts_as_much_as_the_frequent_one() -> None:
    _, found, _ = _separable(200)
    answers = np.zeros(200, dtype=bool)
    answers[:10] = True
    found[:, 3] = np.where(answers, 1.5, -1.5)
    scores = fit(found, answers).scores(found)
    assert scores[answers].min() > 0.5


@pytest.mark.parametrize("num_yes", [0, 3])
def test_too_few_labels_of_one_answer_are_refused(num_yes: int) -> None:
    _, found, _ = _separable(20)
    with pytest.raises(UserError, match=f"{num_yes} yes and {20 - num_yes} no are labelled, at least 4 of each"):
        fit(found, np.arange(20) < num_yes)


def test_uncertain_rows_are_chosen_and_unlike_each_other() -> None:
    scores = np.array([0.02, 0.5, 0.98, 0.45, 0.6, 0.999], dtype=np.float32)
    assert most_uncertain(scores, 3).tolist() == [1, 3, 4]
    assert uncertainty(np.array([0.0, 0.5, 1.0], dtype=np.float32)).tolist() == [0, 1, 0]
    kinds = np.repeat(np.eye(8, dtype=np.float32), 20, axis=0)
    chosen = choose(kinds, np.ones(160), 8, seed=0)
    assert {place // 20 for place in chosen} == set(range(8))


def test_choosing_prefers_weight_repeats_itself_and_never_gives_a_row_twice() -> None:
    found = np.random.default_rng(0).normal(size=(500, 16)).astype(np.float32)
    weights = np.where(np.arange(500) < 50, 1.0, 1e-6)
    chosen = choose(found, weights, 20, seed=3)
    assert max(chosen) < 50
    assert len(set(chosen)) == 20
    assert chosen == choose(found, weights, 20, seed=3)
    copies = np.ones((4, 16), dtype=np.float32)
    assert sorted(choose(copies, np.ones(4), 9, seed=0)) == [0, 1, 2, 3]


def test_the_signal_gives_the_classifiers_scores_and_null_where_there_are_no_features() -> None:
    _, found, answers = _separable(40, width=FEATURE_DIM)
    classifier = fit(found, answers)
    signal = label_signal("food", classifier)
    flat = pa.array(found[:3].reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, FEATURE_DIM, mask=pa.array([False, True, False]))
    compute = pickle.loads(pickle.dumps(signal.build))()
    values = compute(Batch(pa.table({"image_features": column}), ()))["label_food_score"]
    expected = classifier.scores(found[:3]).tolist()
    assert values.to_pylist() == [expected[0], None, expected[2]]
    assert signal.schema.names == ["label_food_score", "label_food_version", "label_food_error"]


def test_the_version_follows_the_labels() -> None:
    _, found, answers = _separable(40)
    first = label_signal("food", fit(found, answers)).version
    assert label_signal("food", fit(found, answers)).version == first
    assert label_signal("food", fit(found[:30], answers[:30])).version != first


def test_fresh_labels_replace_known_ones() -> None:
    known = [Label(id="b", value=True), Label(id="a", value=True)]
    assert merged(known, [Label(id="b", value=False)]) == [Label(id="a", value=True), Label(id="b", value=False)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "the whole: Invalid JSON"),
        (json.dumps({"name": "food", "question": "?"}), "labels: Field required"),
        (json.dumps({"name": "Food; drop", "question": "?", "labels": []}), "name: String should match"),
        (json.dumps({"name": "food", "question": "?", "labels": [{"id": "a", "value": "maybe"}]}), "labels.0.value"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused_by_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parsed(text, name="x.json")
