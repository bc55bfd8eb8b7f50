"""The fast look at a picture: its size, which way up it is, its colours, and what is noted about the file."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from curation.decode import Undecodable, decode, decode_scaled, probe


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (max(2, height // 16), max(2, width // 16), 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def saved(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> bytes:
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


TRAILERS = [
    bytes(64), saved(photo(32, 32)), b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)), b"SEFH\x01\x00\x00\x00SEFT", b"\r\n"
]  # fmt: skip


def swapped_profile() -> bytes:
    """SRGB with the primaries of red and blue exchanged, under another name."""
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = icc.replace(b"rXYZ", b"tttt").replace(b"bXYZ", b"rXYZ").replace(b"tttt", b"bXYZ")
    return swapped.replace("sRGB".encode("utf-16-be"), "xBGR".encode("utf-16-be"))


@pytest.mark.parametrize(
    ("size", "min_side_px", "expected"),
    [
        ((1024, 768), 256, (512, 384)), ((1600, 1200), 256, (400, 300)), ((4000, 3000), 256, (500, 375)),
        ((300, 1000), 256, (300, 1000)), ((100, 80), 256, (100, 80)), ((2049, 2049), 256, (257, 257)),
        ((512, 512), 256, (256, 256)), ((511, 600), 256, (511, 600)), ((64, 64), 1, (8, 8)),
    ],
)  # fmt: skip
def test_the_shorter_side_is_large_enough_and_the_whole_size_is_stated(
    size: tuple[int, int], min_side_px: int, expected: tuple[int, int]
) -> None:
    scaled = decode_scaled(saved(photo(*size)), min_side_px)
    assert (scaled.pixels.shape[1], scaled.pixels.shape[0]) == expected
    assert (scaled.width_px, scaled.height_px) == size
    assert scaled.is_opaque


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_small_picture_is_the_large_one_made_smaller(kind: str) -> None:
    encoded = saved(photo(1024, 768), kind)
    scaled = decode_scaled(encoded, 192).pixels
    large = Image.fromarray(decode(encoded)[..., :3])
    reference = np.asarray(large.resize((scaled.shape[1], scaled.shape[0]), Image.Resampling.BOX), dtype=np.int16)
    assert np.abs(scaled - reference).mean() < 1.5


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_as_viewers_do(orientation: int, kind: str) -> None:
    encoded = saved(photo(64, 40), kind, exif=exif(orientation))
    viewer = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB"))
    pixels = decode(encoded)
    assert np.array_equal(pixels[..., :3], viewer)
    header = probe(encoded)
    assert (header.width_px, header.height_px) == ((40, 64) if orientation >= 5 else (64, 40))
    scaled = decode_scaled(encoded, 40)
    assert np.abs(scaled.pixels.astype(int) - pixels[..., :3]).max() <= 4
    assert (scaled.width_px, scaled.height_px) == (header.width_px, header.height_px)


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    assert probe(saved(photo(64, 40), exif=exif(orientation))).orientation == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_colours_are_brought_to_srgb(kind: str) -> None:
    red = saved(Image.new("RGB", (32, 32), (255, 0, 0)), kind, icc_profile=swapped_profile())
    for pixels in (decode(red), decode_scaled(red, 8).pixels):
        assert np.abs(pixels[2, 2, :3].astype(int) - (0, 0, 255)).max() <= 3


def test_transparency_survives_a_change_of_colours() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 77))
    assert decode(saved(image, "PNG", icc_profile=swapped_profile()))[0, 0].tolist() == [0, 0, 255, 77]


@pytest.mark.parametrize("profile", [b"not a profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()])
def test_a_broken_or_foreign_profile_is_left_aside(profile: bytes) -> None:
    image = photo(32, 32)
    assert np.array_equal(decode(saved(image, icc_profile=profile)), decode(saved(image)))


def test_cmyk_is_read_as_pil_reads_it_with_adobes_marker_or_without() -> None:
    encoded = saved(photo(64, 48).convert("CMYK"), quality=95)
    assert b"Adobe" in encoded
    by_pil = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    assert np.abs(decode(encoded)[..., :3].astype(int) - by_pil).max() <= 2
    at = encoded.index(b"\xff\xee")
    plain = encoded[:at] + encoded[at + 2 + int.from_bytes(encoded[at + 2 : at + 4], "big") :]
    assert np.abs(decode(plain)[..., :3].astype(int) - np.asarray(Image.open(io.BytesIO(plain)).convert("RGB"))).max() <= 2


def test_transparent_pictures_come_over_white_with_their_opacity() -> None:
    rgba = np.zeros((8, 8, 4), dtype=np.uint8)
    rgba[:4] = (0, 0, 255, 255)
    scaled = decode_scaled(saved(Image.fromarray(rgba), "PNG"), 4)
    assert scaled.alpha is not None
    assert scaled.alpha.tolist() == [[255] * 4] * 2 + [[0] * 4] * 2
    assert scaled.pixels[0, 0].tolist() == [0, 0, 255]
    assert scaled.pixels[3, 3].tolist() == [255, 255, 255]
    rgba[..., 3] = 255
    assert decode_scaled(saved(Image.fromarray(rgba), "PNG"), 4).is_opaque


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("trailer", TRAILERS)
def test_what_cameras_leave_behind_a_picture_is_noted_and_allowed(options: dict[str, int], trailer: bytes) -> None:
    whole = saved(photo(64, 48), "JPEG", **options)
    assert probe(whole + trailer).trailing_bytes == len(trailer)
    assert np.array_equal(decode(whole + trailer), decode(whole))
    assert decode_scaled(whole + trailer, 16).header.trailing_bytes == len(trailer)


def test_a_preview_inside_exif_does_not_end_the_picture() -> None:
    whole = saved(photo(64, 48))
    preview = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00" + saved(photo(16, 16))
    segment = b"\xff\xe1" + struct.pack(">H", len(preview) + 2) + preview
    assert np.array_equal(decode(whole[:2] + segment + whole[2:]), decode(whole))
    with pytest.raises(Undecodable, match="truncated"):
        decode(whole[:2] + segment + whole[2:-40])


def test_a_harmless_warning_of_libjpeg_does_not_cost_the_picture() -> None:
    """Some cameras write 0 where a sequential scan should say 63."""
    whole = saved(photo(64, 48))
    at = whole.index(b"\xff\xda") + 2 + int.from_bytes(whole[whole.index(b"\xff\xda") + 2 :][:2], "big")
    odd = whole[: at - 2] + b"\x00" + whole[at - 1 :]
    assert odd != whole
    assert np.array_equal(decode(odd), decode(whole))


def test_a_jpeg_whose_colours_are_sampled_in_a_way_without_a_name_is_read() -> None:
    """Flat grey, its scan written by hand: 16 units of four blocks of luma, two of blue, one of red difference."""
    whole = bytearray(saved(Image.new("RGB", (64, 64), (128, 128, 128)), subsampling=2))
    frame, scan = whole.index(b"\xff\xc0"), whole.index(b"\xff\xda")
    assert [whole[frame + 11], whole[frame + 14], whole[frame + 17]] == [0x22, 0x11, 0x11]
    whole[frame + 14] = 0x12
    bits = ("001010" * 4 + "0000" * 3) * 16
    data = int(bits, 2).to_bytes(len(bits) // 8, "big")
    encoded = bytes(whole[: scan + 14]) + data + b"\xff\xd9"
    assert (decode(encoded) == (128, 128, 128, 255)).all()
    assert decode_scaled(encoded, 16).pixels.shape == (16, 16, 3)
    with pytest.raises(Undecodable, match="truncated"):
        decode(encoded[:-2])


def test_a_view_and_the_whole_agree_on_what_is_refused() -> None:
    for encoded in (b"", b"<html>", saved(photo(64, 48))[:-1], saved(photo(64, 48), "PNG")[:-1]):
        causes = []
        for look in (decode, lambda one: decode_scaled(one, 8), probe):
            with pytest.raises(Undecodable) as caught:
                look(encoded)
            causes.append(caught.value.cause)
        assert len(set(causes)) == 1
