"""Flow mathematics against closed forms."""

import pytest
import torch

from models.flow import data_from_velocity, logit_normal_times, point_on_path, schedule, shift_at, shift_time, velocity_target


def test_path_begins_at_the_data_and_ends_at_the_noise() -> None:
    data, noise = torch.randn(4, 3), torch.randn(4, 3)
    assert torch.equal(point_on_path(data, noise, torch.zeros(4)), data)
    assert torch.equal(point_on_path(data, noise, torch.ones(4)), noise)


def test_the_true_velocity_leads_back_to_the_data_from_any_time() -> None:
    data, noise, time = torch.randn(5, 3), torch.randn(5, 3), torch.rand(5)
    point = point_on_path(data, noise, time)
    torch.testing.assert_close(data_from_velocity(point, velocity_target(data, noise), time), data)


def test_euler_with_the_closed_form_velocity_of_gaussian_data_reaches_its_standard_deviation() -> None:
    """For data N(0, s^2) the marginal velocity is x (t - (1 - t) s^2) / ((1 - t)^2 s^2 + t^2)."""
    spread = 0.5
    x = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    times = schedule(400, shift=1.0)
    for time, following in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        velocity = x * (time - (1 - time) * spread**2) / ((1 - time) ** 2 * spread**2 + time**2)
        x = x + (following - time) * velocity
    assert x.std().item() == pytest.approx(spread, rel=0.05)


def test_shift_keeps_the_ends_and_moves_the_middle_towards_noise() -> None:
    shifted = shift_time(torch.tensor([0.0, 0.5, 1.0]), 3.0)
    torch.testing.assert_close(shifted, torch.tensor([0.0, 0.75, 1.0]))


def test_training_times_follow_the_logit_normal_where_nothing_is_uniform() -> None:
    times = logit_normal_times(20_000, generator=torch.Generator().manual_seed(0), shift=1.0, uniform_share=0.0)
    logits = torch.logit(times)
    assert abs(logits.mean().item()) < 0.03
    assert logits.std().item() == pytest.approx(1.0, abs=0.03)


def test_a_picture_of_four_times_the_tokens_is_shifted_twice_as_far() -> None:
    assert shift_at(16, shift=2.0, of_tokens=16) == 2.0
    assert shift_at(64, shift=2.0, of_tokens=16) == 4.0
