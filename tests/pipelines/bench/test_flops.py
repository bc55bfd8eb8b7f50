"""What the comparison of operations rests on."""

import pytest

from models.routing import RoutingConfig
from pipelines.bench import flops


def test_arithmetic_and_counter_agree_and_every_target_holds() -> None:
    measured = flops.run(is_quick=True)
    assert all(measured.checks.values()), measured.checks


def test_levers_add_up_in_the_order_they_are_told() -> None:
    ratios = flops.run(is_quick=True).ratios
    assert ratios["train_2k_tokens"] < ratios["train_2k + token routing"] < ratios["train_2k_all"]
    drawing = [ratio for name, ratio in ratios.items() if name.startswith("generate_2k")]
    assert drawing == sorted(drawing)


def test_a_lever_changes_what_it_says_and_nothing_else() -> None:
    side = 1024
    assert flops._train(side, routing=RoutingConfig(min_tokens=1025)) == flops._train(side)
    assert flops._train(side, routing=RoutingConfig(share=0.9)) < flops._train(side, routing=RoutingConfig(share=0.5))
    assert flops._generate(side, evaluations=1) == pytest.approx(flops._generate(side) / 2, rel=0.01)
