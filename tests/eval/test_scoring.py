import numpy as np
import pytest
import torch

from eval.scores import Score, Scores, Subject
from eval.scoring import Picture, SampleSet, Scorer
from models.minilm import MiniLmEncoder
from models.perception.contrastive import ContrastiveConfig, ContrastiveHead
from models.perception.efficientnet import LiteFeatures

NUM = 10


def squares(seed: int) -> list[Picture]:
    """White pictures with one coloured square each."""
    generator = np.random.default_rng(seed)
    pictures = []
    for _ in range(NUM):
        picture = np.full((32, 32, 3), 255, dtype=np.uint8)
        row, column = generator.integers(0, 16, size=2)
        picture[row : row + 16, column : column + 16] = generator.integers(0, 200, size=3)
        pictures.append(picture)
    return pictures


@pytest.fixture(scope="module")
def texts() -> tuple[str, ...]:
    return tuple(f"a square number {n}" for n in range(NUM))


@pytest.fixture(scope="module")
def scorer(texts: tuple[str, ...]) -> Scorer:
    """Its head is solved for, not trained: the texts' own vectors are the least-squares images of the pictures' features."""
    torch.manual_seed(0)
    features, text = LiteFeatures.load(), MiniLmEncoder.load()
    head = ContrastiveHead(ContrastiveConfig(width=16, text_hidden=32, image_noise=0.0)).eval().requires_grad_(False)
    seen = torch.from_numpy(features.of_pixels(np.stack(squares(0))))
    head.calibrate(seen)
    standard = (seen - head.get_buffer("feature_mean")) / head.get_buffer("feature_spread")
    wanted = head.encode_texts(text.pooled(list(texts)))
    solved = torch.linalg.lstsq(torch.nn.functional.pad(standard, (0, 1), value=1.0), wanted, driver="gelsd").solution
    head.image_map.weight.copy_(solved[:-1].T)
    head.image_map.bias.copy_(solved[-1])
    return Scorer(features, head, text, seed=0)


def edits(texts: tuple[str, ...], generated: list[Picture]) -> SampleSet:
    real, before = squares(0), squares(1)
    pictures: dict[Subject, list[Picture]] = {"generated": generated, "real": real, "reference": before, "noise": squares(2)}
    return SampleSet("edit", "train", texts, pictures, tuple((each,) for each in before))


def by_name(scores: list[Score]) -> dict[str, float]:
    return {score.name: score.value for score in scores}


def test_perfect_edits_score_perfectly_and_baselines_do_not(scorer: Scorer, texts: tuple[str, ...]) -> None:
    found = scorer.score(edits(texts, squares(0)))
    scores = by_name(found.scores)
    assert found.ranks.tolist() == [0] * NUM
    assert found.follows is not None
    assert found.follows.all()
    assert scores["eval/retrieval_r1/edit"] == 1.0
    assert scores["eval/retrieval_r1/edit/noise"] < 0.6
    assert scores["eval/frechet_lite0/edit"] == pytest.approx(0.0, abs=1e-3)
    assert scores["eval/frechet_lite0/edit/noise"] > 1.0
    assert scores["eval/error_inside/edit"] == scores["eval/error_outside/edit"] == 0.0
    assert scores["eval/error_inside/edit/reference"] > 0.1
    assert scores["eval/error_outside/edit/reference"] < 0.05


def test_edits_that_change_nothing_score_like_the_reference(scorer: Scorer, texts: tuple[str, ...]) -> None:
    found = scorer.score(edits(texts, squares(1)))
    scores = by_name(found.scores)
    assert found.follows is not None
    assert not found.follows.any()
    for metric in ("retrieval_r1", "frechet_lite0", "error_inside", "error_outside"):
        assert scores[f"eval/{metric}/edit"] == scores[f"eval/{metric}/edit/reference"]


def test_text_to_image_has_no_edit_scores_and_every_interval_holds_its_value(scorer: Scorer, texts: tuple[str, ...]) -> None:
    samples = SampleSet("t2i", "heldout", texts, {"generated": squares(3), "real": squares(0)}, ((),) * NUM)
    found = scorer.score(samples)
    assert found.follows is None
    assert {score.metric for score in found.scores} == {"retrieval_r1", "retrieval_r10", "frechet_lite0"}
    assert all(score.low <= score.value <= score.high for score in found.scores)
    assert all(score.gallery == NUM for score in found.scores if score.metric.startswith("retrieval"))
    assert "eval/retrieval_r1/t2i/heldout" in by_name(found.scores)


def test_scores_do_not_depend_on_how_often_they_are_taken(scorer: Scorer, texts: tuple[str, ...]) -> None:
    samples = edits(texts, squares(3))
    assert scorer.score(samples).scores == scorer.score(samples).scores


def test_metrics_are_flat_and_carry_their_intervals(scorer: Scorer, texts: tuple[str, ...]) -> None:
    found = Scores(bundle="b", contrastive="c", samples=(), scores=tuple(scorer.score(edits(texts, squares(0))).scores))
    metrics = found.metrics()
    assert len(metrics) == 3 * len(found.scores)
    assert metrics["eval/retrieval_r1/edit/ci_lo"] == pytest.approx(0.7225, abs=1e-3)
    assert Scores.model_validate_json(found.model_dump_json()) == found
