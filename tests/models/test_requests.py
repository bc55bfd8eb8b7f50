"""Requests that cannot be carried out are refused in words, before anything is computed."""

import pytest
import torch

from models.picture_sizes import Aspect, ImageSize
from models.requests import MOST_REFERENCES, Request, checked, drawn_size, nearest_size, scaled_to

PICTURE = torch.zeros(3, 20, 36)
DEFAULT = ImageSize(64, 64)
EDIT = Request("make it red", (PICTURE,), seed=0, size=None)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (EDIT._replace(prompt=" \n"), "the prompt is empty"),
        (EDIT._replace(references=(PICTURE,) * (MOST_REFERENCES + 1)), "11 references were given, at most 10 are looked at"),
        (EDIT._replace(num_images=0), "a set of 0 pictures was asked for; expected 1 to 16"),
        (EDIT._replace(num_images=17), "a set of 17 pictures"),
        (EDIT._replace(tags=("flat", "oil")), "tag 'oil' is not known to this model; it knows flat"),
        (EDIT._replace(tags=("edit",)), "tag 'edit' is not known to this model; it knows flat"),
        (EDIT._replace(mask=torch.ones(1, 36, 20)), "the mask is 20x36, its picture .* 36x20; make them equal"),
        (EDIT._replace(mask=torch.zeros(1, 20, 36)), "the mask is empty"),
        (EDIT._replace(mask=torch.ones(1, 20, 36), references=()), "a mask was given without a picture"),
        (EDIT._replace(mask=torch.ones(1, 20, 36), size=DEFAULT), "size 64x64 was asked for beside a mask"),
        (EDIT._replace(mask=torch.ones(1, 20, 36), num_images=2), "a set of 2 pictures was asked for beside a mask"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_was_seen_and_what_to_do(request_: Request, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        checked(request_, labels=("edit", "flat"))


def test_what_can_be_done_passes() -> None:
    for request in (EDIT, EDIT._replace(tags=("flat",)), EDIT._replace(mask=torch.ones(1, 20, 36)), EDIT._replace(num_images=16)):
        assert checked(request, labels=("edit", "flat")) is request


def test_the_task_follows_from_what_is_asked() -> None:
    requests = (EDIT._replace(references=()), EDIT, EDIT._replace(references=(PICTURE, PICTURE)), EDIT._replace(num_images=2))
    assert [request.task for request in requests] == ["t2i", "edit", "compose", "set"]


def test_sizes_are_drawn_as_asked_or_chosen() -> None:
    sizes = [
        drawn_size(request, default=DEFAULT, factor=16)
        for request in (
            EDIT._replace(size=ImageSize(16, 32)), EDIT._replace(size=Aspect(1, 1)), EDIT, EDIT._replace(references=()),
            EDIT._replace(mask=torch.ones(1, 20, 36)),
        )
    ]  # fmt: skip
    assert sizes == [ImageSize(16, 32), DEFAULT, ImageSize(48, 80), DEFAULT, ImageSize(16, 32)]
    with pytest.raises(ValueError, match="20x20 cannot be drawn"):
        drawn_size(EDIT._replace(size=ImageSize(20, 20)), default=DEFAULT, factor=16)


def test_pictures_that_are_brought_along_are_looked_at_no_larger_than_those_of_training() -> None:
    assert nearest_size(ImageSize(20, 36), factor=16, most_px=64**2) == ImageSize(16, 32)
    large = nearest_size(ImageSize(3000, 4000), factor=16, most_px=64**2)
    assert large.height_px * large.width_px <= 64**2 * 1.2
    assert large.width_px > large.height_px
    with pytest.raises(ValueError, match="aspect ratio 4000:100 cannot be drawn"):
        nearest_size(ImageSize(100, 4000), factor=16, most_px=64**2)


def test_pictures_are_scaled_only_where_they_must_be() -> None:
    assert scaled_to(PICTURE, ImageSize(20, 36)) is PICTURE
    assert scaled_to(torch.ones(3, 20, 36), ImageSize(16, 32)).shape == (3, 16, 32)
    assert scaled_to(torch.rand(3, 64, 64) * 2 - 1, ImageSize(16, 16)).abs().max() <= 1
