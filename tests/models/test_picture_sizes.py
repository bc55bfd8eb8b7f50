"""Which sizes can be drawn, and which one is taken."""

import pytest

from models.picture_sizes import MOST_PX, Aspect, ImageSize, asked_for, chosen_size, require_drawable, size_of

SQUARE = ImageSize(1024, 1024)


@pytest.mark.parametrize("ratio", [(1, 1), (16, 9), (9, 16), (3, 2), (21, 9), (16, 1), (1, 16), (5, 4)])
@pytest.mark.parametrize("side", [1024, 2048, 4096])
def test_a_ratio_is_drawn_at_the_nearest_size_of_the_usual_area(ratio: tuple[int, int], side: int) -> None:
    size = size_of(Aspect(*ratio), area_px=side**2, factor=32)
    require_drawable(size, factor=32)
    assert size.width_px / size.height_px == pytest.approx(ratio[0] / ratio[1], rel=0.06)
    assert size.width_px * size.height_px == pytest.approx(side**2, rel=0.13)


def test_a_small_picture_has_some_size_for_every_ratio() -> None:
    assert size_of(Aspect(1, 1), area_px=64**2, factor=16) == ImageSize(64, 64)
    assert size_of(Aspect(2, 1), area_px=64**2, factor=16) == ImageSize(48, 96)
    assert size_of(Aspect(16, 1), area_px=64**2, factor=16) == ImageSize(16, 256)


@pytest.mark.parametrize("aspect", [Aspect(17, 1), Aspect(1, 17), Aspect(0, 1), Aspect(-1, 1)])
def test_ratios_beyond_sixteen_are_refused(aspect: Aspect) -> None:
    with pytest.raises(ValueError, match="cannot be drawn: expected between 1:16 and 16:1"):
        size_of(aspect, area_px=1024**2, factor=32)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        (ImageSize(1000, 1024), "1024x1000 cannot be drawn: both sides must be multiples of 32 px"),
        (ImageSize(0, 32), "both sides must be multiples"),
        (ImageSize(MOST_PX, MOST_PX + 32), "at most 4096x4096 pixels in area"),
        (ImageSize(32, 32 * 17), "at most 16 times as long as wide"),
    ],
)
def test_sizes_that_cannot_be_drawn_are_refused_with_the_reason(size: ImageSize, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        require_drawable(size, factor=32)


@pytest.mark.parametrize(
    ("prompt", "aspect"),
    [
        ("a lighthouse, 16:9", Aspect(16, 9)),
        ("海报，3：4", Aspect(3, 4)),
        ("aspect ratio 21:9, a lighthouse at night", Aspect(21, 9)),
        ("a clock showing 7:30", None),
        ("make the clock show 10:02", None),
        ("a page that quotes John 3:16", None),
        ("a 1:10 scale model", None),
        ("a score of 3:2 on the board", None),
        ("a panoramic window", None),
        ("a panorama of the harbour", Aspect(3, 1)),
        ("竖版海报", Aspect(3, 4)),
        ("a portrait of a woman", None),
        ("a clock at 12:30:15", None),
        ("scores of 0:3", None),
        ("a red apple", None),
    ],
)
def test_prompts_may_name_a_ratio(prompt: str, aspect: Aspect | None) -> None:
    assert asked_for(prompt) == aspect


def test_without_a_word_the_first_reference_gives_the_shape_and_else_the_model() -> None:
    wide = ImageSize(300, 600)
    assert chosen_size("make it red", [wide, SQUARE], default=SQUARE, factor=32) == size_of(
        Aspect(2, 1), area_px=1024**2, factor=32
    )
    assert chosen_size("a red apple, 1:1", [wide], default=SQUARE, factor=32) == SQUARE
    assert chosen_size("a red apple", [], default=SQUARE, factor=32) == SQUARE
