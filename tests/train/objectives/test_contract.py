import torch

from train.objectives.contract import Drawn


def drawn(text_weights: tuple[float, ...]) -> Drawn:
    return Drawn(
        key=0, task="t2i", texts=("a", "b", "c"), text_weights=text_weights, score_text="", target=torch.zeros(3, 2, 2),
        references=(),
    )  # fmt: skip


def test_what_is_told_follows_the_probabilities() -> None:
    sample = drawn((0.25, 0.5, 0.25))
    told = [sample.told((index + 0.5) / 400) for index in range(400)]
    assert {text: told.count(text) for text in sample.texts} == {"a": 100, "b": 200, "c": 100}


def test_something_is_told_when_probabilities_add_up_to_less_than_one() -> None:
    assert drawn((0.3333333, 0.3333333, 0.3333333)).told(1 - 1e-9) == "c"
