import torch

from train.objectives.contract import Drawn

PICTURE = torch.zeros(3, 2, 2)


def test_what_is_told_follows_the_probabilities() -> None:
    sample = Drawn(key=0, texts=("a", "b", "c"), text_weights=(0.25, 0.5, 0.25), score_text="", target=PICTURE, references=())
    told = [sample.told((index + 0.5) / 400) for index in range(400)]
    assert {text: told.count(text) for text in sample.texts} == {"a": 100, "b": 200, "c": 100}


def test_something_is_told_when_probabilities_add_up_to_less_than_one() -> None:
    thirds = (0.3333333, 0.3333333, 0.3333333)
    sample = Drawn(key=0, texts=("a", "b", "c"), text_weights=thirds, score_text="", target=PICTURE, references=())
    assert sample.told(1 - 1e-9) == "c"
