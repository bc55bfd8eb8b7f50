"""The contrastive objective: what is paired with what."""

import pytest
import torch

from models.perception.contrastive import ContrastiveConfig
from train.objectives.contract import Drawn
from train.objectives.contrastive import Contrastive, ContrastiveObjectiveConfig, views


@pytest.fixture(scope="module")
def objective() -> Contrastive:
    torch.manual_seed(0)
    return Contrastive(ContrastiveObjectiveConfig(head=ContrastiveConfig(width=16, text_hidden=16, image_noise=0.5)))


def drawn(text: str, *, references: int, score_text: str) -> Drawn:
    pictures = tuple(torch.zeros(2, 1280) for _ in range(references))
    target = torch.randn(2, 1280)
    return Drawn(key=1, task="t2i", texts=(text,), text_weights=(1.0,), score_text=score_text, target=target, references=pictures)


def test_an_edit_is_paired_with_what_its_result_shows_not_with_the_instruction(objective: Contrastive) -> None:
    batch = objective.collate(
        [drawn("a dog", references=0, score_text="x"), drawn("make it red", references=1, score_text="a red car")]
    )
    objective.learn_texts(["a dog", "a red car"])
    expected = objective.collate([drawn("a dog", references=0, score_text=""), drawn("a red car", references=0, score_text="")])
    torch.testing.assert_close(batch.texts, expected.texts)


def test_views_are_the_picture_and_a_worse_one() -> None:
    picture = torch.rand(3, 64, 64) * 2 - 1
    clean, worse = views(picture)
    assert torch.equal(clean, picture)
    assert worse.std() < 0.7 * picture.std()
    plain = torch.zeros(3, 64, 64)
    assert views(plain)[1].std().item() == pytest.approx(0.1, abs=0.01)


def test_matching_pairs_lose_less_than_shuffled_ones(objective: Contrastive) -> None:
    samples = [drawn(name, references=0, score_text=name) for name in ("a dog", "a red apple", "a blue car", "a tall tree")]
    objective.prepare([[sample.target for sample in samples]])
    batch = objective.collate(samples)
    optimizer = torch.optim.Adam(objective.network.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        objective.loss(batch, "main").total.backward()
        optimizer.step()
    shuffled = batch._replace(texts=batch.texts.roll(1, 0))
    assert objective.loss(batch, "main").total.item() < 0.5 < objective.loss(shuffled, "main").total.item()


def test_texts_that_minilm_cannot_read_are_left_to_others(objective: Contrastive) -> None:
    told = drawn("", references=0, score_text="a cat")._replace(texts=("a dog", "狗"), text_weights=(0.1, 0.9))
    alone = drawn("", references=0, score_text="a cat")._replace(texts=("狗",), text_weights=(1.0,))
    found = objective.collate([told, alone])
    expected = objective.collate([drawn("a dog", references=0, score_text=""), drawn("a cat", references=0, score_text="")])
    torch.testing.assert_close(found.texts, expected.texts)


def test_a_run_of_texts_that_minilm_cannot_read_is_passed_over(objective: Contrastive) -> None:
    objective.learn_texts(["狗", "一只红苹果"])
    objective.learn_texts(["a dog", "狗"])
