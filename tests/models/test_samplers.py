"""Rules of a step against a flow whose end is known, and guidance against its formula."""

from collections.abc import Callable
from itertools import pairwise
from typing import get_args

import pytest
import torch
from torch import Tensor

from models.samplers import SamplerConfig, Slope, Solver, advanced, guided

MEAN, SPREAD = 1.5, 0.4


def velocity_of_gaussian_data(x: Tensor, time: Tensor) -> Tensor:
    """E[noise - data | x] for data N(MEAN, SPREAD^2); the flow takes noise z to MEAN + SPREAD z."""
    t = time[:, None]
    share = (x - (1 - t) * MEAN) / ((1 - t) ** 2 * SPREAD**2 + t**2)
    return t * share - (MEAN + (1 - t) * SPREAD**2 * share)


def sampled(solver: Solver, noise: Tensor, times: Tensor, velocity_at: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    x, before = noise, None
    for time, following in pairwise(times):
        each, after = time.expand(len(noise)), following.expand(len(noise))
        length = (after - each)[:, None]
        x, before = advanced(solver, x, velocity_at, time=each, next_time=after, length=length, before=before)
    return x


def error(solver: Solver, num_steps: int, *, shift: float = 1.0) -> float:
    noise = torch.linspace(-2, 2, 41)[:, None].double()
    times = SamplerConfig(num_steps=num_steps, guidance=1.0, shift=shift).times(16).double()
    reached = sampled(solver, noise, times, velocity_of_gaussian_data)
    return (reached - (MEAN + SPREAD * noise)).abs().max().item()


@pytest.mark.parametrize("solver", get_args(Solver))
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_noise_becomes_data_of_the_known_mean_and_spread(solver: Solver, shift: float) -> None:
    assert error(solver, 400, shift=shift) < 0.02


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2), ("multistep", 2)])
def test_twice_the_steps_leave_an_error_smaller_by_the_order_of_the_rule(solver: Solver, order: int) -> None:
    assert error(solver, 100) / error(solver, 200) == pytest.approx(2**order, rel=0.25)


def test_steps_of_unequal_lengths_keep_the_order() -> None:
    assert error("multistep", 100, shift=3.0) / error("multistep", 200, shift=3.0) == pytest.approx(4, rel=0.25)


def test_rules_ask_as_often_as_they_say() -> None:
    asked: dict[Solver, list[float]] = {solver: [] for solver in get_args(Solver)}
    for solver, times_asked in asked.items():

        def velocity_at(x: Tensor, time: Tensor, seen: list[float] = times_asked) -> Tensor:
            seen.append(time[0].item())
            return velocity_of_gaussian_data(x, time)

        sampled(solver, torch.zeros(1, 1), torch.tensor([1.0, 0.5, 0.0]), velocity_at)
    assert asked == {"euler": [1.0, 0.5], "heun": [1.0, 0.5, 0.5], "multistep": [1.0, 0.5]}  # never at 0


def test_the_first_step_of_several_is_eulers() -> None:
    x, time, length = torch.randn(3, 2), torch.full((3,), 0.8), torch.full((3, 1), -0.1)
    steps = {
        solver: advanced(
            solver, x, velocity_of_gaussian_data, time=time, next_time=time - 0.1, length=length, before=None,
        )[0]
        for solver in ("euler", "multistep")
    }  # fmt: skip
    assert torch.equal(steps["euler"], steps["multistep"])


def test_a_velocity_that_does_not_change_is_followed_straight_by_every_rule() -> None:
    x, time, length = torch.randn(3, 2), torch.full((3,), 0.8), torch.full((3, 1), -0.1)
    before = Slope(torch.ones(3, 2), torch.full((3, 1), -0.3))
    for solver in get_args(Solver):
        reached, _ = advanced(
            solver, x, lambda x, _: torch.ones_like(x), time=time, next_time=time - 0.1, length=length, before=before
        )
        torch.testing.assert_close(reached, x - 0.1)


def test_guidance_goes_from_nothing_through_references_to_the_text() -> None:
    full, without_text, nothing = torch.tensor([[5.0]]), torch.tensor([[3.0]]), torch.tensor([[1.0]])
    assert guided([full], guidance=7.0).item() == 5
    assert guided([full, without_text], guidance=2.0).item() == 3 + 2 * 2
    assert guided([full, without_text, nothing], guidance=2.0, reference_guidance=3.0).item() == 1 + 3 * 2 + 2 * 2
    assert guided([full, without_text, nothing], guidance=2.0, reference_guidance=1.0).item() == 3 + 2 * 2


@pytest.mark.parametrize(("guidance", "reference_guidance", "num_branches"), [(1, 1, 1), (2, 1, 2), (2, 3, 3), (1, 3, 3)])
def test_branches_are_as_few_as_the_weights_allow(guidance: float, reference_guidance: float, num_branches: int) -> None:
    config = SamplerConfig(num_steps=1, guidance=guidance, reference_guidance=reference_guidance, shift=1.0)
    assert config.num_branches == num_branches


def test_larger_pictures_stay_longer_in_the_noise_where_the_shift_is_of_a_size() -> None:
    fixed = SamplerConfig(num_steps=4, guidance=1.0, shift=2.0)
    grown = fixed.model_copy(update={"shift_tokens": 16})
    assert torch.equal(fixed.times(64), fixed.times(16))
    assert torch.equal(grown.times(16), fixed.times(16))
    assert (grown.times(64)[1:-1] > grown.times(16)[1:-1]).all()
