import io
import pickle

import numpy as np
import pytest
from PIL import Image

from curation.decode import Undecodable, centred, decode, encode_png, fit_square, on_background, probe, training_view


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=file_format, **options)
    return buffer.getvalue()


def noise(height: int, width: int, channels: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_png_round_trip_keeps_every_value() -> None:
    for channels in (3, 4):
        pixels = noise(13, 7, channels)
        back = decode(encode_png(pixels))
        assert np.array_equal(back[..., :channels], pixels)
    assert encode_png(noise(5, 5)) == encode_png(noise(5, 5))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16"])
def test_every_mode_becomes_rgba(mode: str) -> None:
    grey = Image.new("L", (6, 4), 255)
    if mode == "I;16":
        image = Image.fromarray(np.full((4, 6), 65535, dtype=np.uint16))
    elif mode == "I":
        image = Image.fromarray(np.full((4, 6), 65535, dtype=np.int32))
    else:
        image = grey.convert(mode)
    pixels = decode(encoded(image, "TIFF" if mode in ("CMYK", "YCbCr", "F", "I") else "PNG"))
    assert pixels.shape == (4, 6, 4)
    assert (pixels[..., :3] >= 254).all()
    assert (pixels[..., 3] == 255).all()


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    pixels = decode(encoded(Image.fromarray(np.full((3, 3), 32768, dtype=np.uint16))))
    assert pixels[0, 0, 0] == 127


def test_palette_transparency_is_kept() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    pixels = decode(encoded(image, transparency=0))
    assert pixels[0, 0, 3] == 0
    assert pixels[0, 1].tolist() == [0, 255, 0, 255]


def test_exif_rotation_is_applied() -> None:
    image = Image.fromarray(noise(4, 8, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    turned = decode(encoded(image, exif=exif.tobytes()))
    assert turned.shape == (8, 4, 4)
    assert np.array_equal(turned[..., :3], np.rot90(np.asarray(image), -1))


def test_only_the_first_frame_of_an_animation_is_read() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    pixels = decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert pixels[0, 0].tolist() == [255, 0, 0, 255]


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"not a picture",
        encoded(Image.fromarray(noise(64, 64)))[:2000],
        encoded(Image.fromarray(noise(64, 64, 3)), "JPEG")[:900],
    ],
    ids=["empty", "text", "png cut short", "jpeg cut short"],
)
def test_damaged_pictures_are_unreadable(damaged: bytes) -> None:
    with pytest.raises(Undecodable) as caught:
        decode(damaged)
    assert caught.value.reason == "unreadable"
    assert caught.value.detail


def test_every_truncation_of_a_png_is_refused_or_whole() -> None:
    whole = encode_png(noise(6, 6))
    pixels = decode(whole)
    for length in range(len(whole)):
        try:
            assert np.array_equal(decode(whole[:length]), pixels)  # only the end marker may be missing
        except Undecodable:
            continue


def test_a_picture_with_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    picture = encode_png(noise(20, 30))
    assert decode(picture, max_pixels=600).shape == (20, 30, 4)
    with pytest.raises(Undecodable, match="30 x 20 px are 600 pixels, at most 599") as caught:
        decode(picture, max_pixels=599)
    assert caught.value.reason == "too_large"


def test_undecodable_crosses_processes() -> None:
    error = pickle.loads(pickle.dumps(Undecodable("too_large", "9 pixels")))
    assert (error.cause, error.reason, error.detail) == ("too_large", "too_large", "9 pixels")


def test_background_is_blended_exactly() -> None:
    rgba = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], dtype=np.uint8)
    over = on_background(rgba, background=(0, 0, 255))
    assert over.tolist() == [[[200, 100, 0], [0, 0, 255], [40, 20, 204]]]


def test_fit_square_centres_and_keeps_proportions() -> None:
    rgba = np.full((10, 40, 4), 255, dtype=np.uint8)
    square = fit_square(rgba, 20)
    covered = square[..., 3] == 255
    assert covered.sum() == 5 * 20
    assert covered[7:12].all()


def test_resizing_does_not_bleed_the_colour_of_transparent_pixels() -> None:
    rgba = np.zeros((64, 64, 4), dtype=np.uint8)  # black where transparent
    rgba[16:48, 16:48] = (255, 0, 0, 255)
    small = fit_square(rgba, 24)
    visible = small[..., 3] > 16
    assert (small[..., 0][visible] >= 240).all()


def test_fit_square_leaves_a_square_of_that_size_alone() -> None:
    rgba = noise(16, 16)
    assert np.array_equal(fit_square(rgba, 16), rgba)
    assert np.array_equal(centred(rgba, 16, 16), rgba)


def test_the_training_view_is_on_white() -> None:
    view = training_view(encode_png(np.zeros((10, 30, 4), dtype=np.uint8)), 8)
    assert view.shape == (8, 8, 3)
    assert (view == 255).all()


def test_a_thin_picture_still_has_a_row_of_pixels() -> None:
    assert training_view(encode_png(np.zeros((1, 1000, 3), dtype=np.uint8)), 8).shape == (8, 8, 3)


def test_a_plain_webp_looks_as_pil_shows_it() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(9, axis=0).repeat(9, axis=1)
    file = encoded(Image.fromarray(pixels), "WEBP", quality=90)
    with Image.open(io.BytesIO(file)) as image:
        theirs = np.asarray(image.convert("RGB"))
    assert probe(file).colour == "rgb"
    assert np.abs(decode(file)[..., :3].astype(int) - theirs).max() <= 2
