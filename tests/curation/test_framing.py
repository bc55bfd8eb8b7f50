"""Pictures at sizes of their own."""

import math
from fractions import Fraction

import numpy as np
import pytest

from curation.decode import encode_png, native_view
from curation.framing import MOST_ASPECT, SQUEEZE, PixelSize, fit_native, native_size
from models.picture_sizes import ImageSize, require_drawable


def size(height: int, width: int, *, side: int = 512, multiple: int = 32) -> tuple[int, int]:
    seen = native_size(PixelSize(height, width), max_side_px=side, multiple_px=multiple)
    return seen.height_px, seen.width_px


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 4), dtype=np.uint8)


def random_sizes(num: int, *, least: int, most: int) -> list[tuple[int, int]]:
    draw = np.random.default_rng(0)
    sides = np.exp(draw.uniform(math.log(least), math.log(most), (num, 2))).astype(int)
    return [(height, width) for height, width in sides.tolist()]


@pytest.mark.parametrize(
    ("picture", "seen"),
    [
        ((512, 512), (512, 512)),        # as it is
        ((4096, 4096), (512, 512)),
        ((100, 100), (96, 96)),          # not enlarged to 128
        ((1080, 1920), (384, 672)),
        ((3000, 2000), (608, 416)),
        ((4000, 250), (2048, 128)),      # 16:1, four by 64 steps
        ((10, 10), (32, 32)),            # thinner than a step: a margin
        ((31, 500), (32, 480)),
        ((125, 2000), (96, 1536)),       # 16:1, and one step down 21:1
        ((64, 4096), (128, 2048)),       # 1:64: a margin up to 1:16
    ],
)  # fmt: skip
def test_sizes(picture: tuple[int, int], seen: tuple[int, int]) -> None:
    assert size(*picture) == seen


def test_sides_are_multiples_the_area_is_kept_and_nothing_is_enlarged() -> None:
    for height, width in random_sizes(2000, least=20, most=8000):
        seen_height, seen_width = size(height, width)
        assert seen_height % 32 == seen_width % 32 == 0
        assert 32**2 <= seen_height * seen_width <= 512**2
        assert seen_height <= max(height, 32, math.ceil(width / MOST_ASPECT))
        assert seen_width <= max(width, 32, math.ceil(height / MOST_ASPECT))
        require_drawable(ImageSize(seen_height, seen_width), factor=32)


def test_no_size_within_one_step_of_it_is_nearer_to_the_aspect() -> None:
    def strayed(seen: tuple[int, int], picture: tuple[int, int]) -> float:
        return abs(math.log(Fraction(seen[1], seen[0]) / Fraction(picture[1], picture[0])))

    for picture in random_sizes(300, least=600, most=3000):
        if max(picture) > MOST_ASPECT * min(picture):
            continue
        chosen, scale = size(*picture), 512 / math.sqrt(math.prod(picture))
        exact = [side * min(scale, 1) for side in picture]
        around = [(int(side // 32 * 32), int(side // 32 * 32 + 32)) for side in exact]
        others = [(height, width) for height in around[0] for width in around[1] if height * width <= 512**2]
        assert strayed(chosen, picture) <= min(strayed(other, picture) for other in others) + 1e-6


def test_of_usual_aspects_little_of_the_area_is_lost_and_little_is_cut_off() -> None:
    for aspect in np.linspace(0.5, 2, 200).tolist():
        height, width = round(4000 / math.sqrt(aspect)), round(4000 * math.sqrt(aspect))
        for side, least, most in ((512, 0.88, 1.07), (1024, 0.93, 1.04), (4096, 0.93, 1.02)):
            seen_height, seen_width = size(height, width, side=side)
            assert seen_height * seen_width >= least * side**2
            assert 1 / most <= seen_width / seen_height * height / width <= most


def test_a_picture_already_at_its_size_is_not_touched() -> None:
    picture = noise(64, 160)
    assert np.array_equal(fit_native(picture, max_side_px=512, multiple_px=32), picture)


def test_within_the_squeeze_all_is_seen_beyond_it_both_ends_lose_alike() -> None:
    marked = np.full((640, 640, 4), 255, dtype=np.uint8)
    marked[:, :20, :3] = marked[:, -20:, :3] = 0                     # black left and right
    squeezed = fit_native(marked[:, 5:-5], max_side_px=512, multiple_px=512 // 4)
    assert squeezed.shape == (512, 512, 4)
    assert 1 < 640 / 630 < SQUEEZE
    assert (squeezed[:, :8, :3] < 30).all()
    assert (squeezed[:, -8:, :3] < 30).all()
    wide = np.full((400, 500, 4), 255, dtype=np.uint8)
    wide[:, :50, :3] = wide[:, -50:, :3] = 0                         # the middle 400 are white
    cropped = fit_native(wide, max_side_px=512, multiple_px=128)
    assert cropped.shape == (384, 384, 4)
    assert (cropped[..., :3] > 225).mean() > 0.99
    assert np.array_equal(cropped, cropped[:, ::-1])


def test_pictures_that_are_transparent_or_thin_stand_on_white() -> None:
    clear = np.zeros((64, 64, 4), dtype=np.uint8)
    assert (native_view(encode_png(clear), max_side_px=128, multiple_px=32) == 255).all()
    thin = np.zeros((4, 256, 4), dtype=np.uint8)
    thin[..., 3] = 255
    view = native_view(encode_png(thin), max_side_px=128, multiple_px=16)
    assert view.shape == (16, 256, 3)
    assert (view[:5] == 255).all()
    assert (view[-5:] == 255).all()
    assert (view[7:9] == 0).all()


def test_an_area_that_holds_no_banner_is_refused() -> None:
    with pytest.raises(ValueError, match=r"max_side_px=100 holds no picture of 1:16 in steps of 32 px; give 128 or more"):
        size(64, 64, side=100)
