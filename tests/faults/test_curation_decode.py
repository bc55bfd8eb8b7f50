"""Files made to hurt: bombs, cuts and polyglots are refused, and refusing costs no memory.

Every file is generated from fixed seeds. The bombs are decoded in a process of their own that may not map more than half a
gigabyte beyond what it starts with, and whose resident memory is read before and after.
"""

import io
import json
import random
import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curation.decode import Undecodable, decode, decode_scaled, probe
from infra.settings import CODE_ROOT

MAX_GROWTH_MB = 48
ROOM_BYTES = 512 * 2**20


def photo(width: int = 96, height: int = 64, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, *extra: bytes, data: bytes = b"", depth: int = 8, colour: int = 2) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(extra) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def zeros(num_bytes: int) -> bytes:
    packer = zlib.compressobj(9)
    block = bytes(2**20)
    return b"".join(packer.compress(block) for _ in range(num_bytes >> 20)) + packer.flush()


def png_bombs() -> Iterator[bytes]:
    small = zlib.compress(bytes(4 * 13))
    for depth, colour in ((1, 0), (8, 0), (16, 0), (8, 2), (16, 2), (8, 3), (8, 4), (8, 6), (16, 6)):
        for width, height in ((2**31 - 1, 2**31 - 1), (65_535, 65_535), (2**26 + 1, 1), (9_000, 9_000)):
            yield png(width, height, data=small, depth=depth, colour=colour)
        for side in (5_000, 8_000):
            yield png(side, side, data=small, depth=depth, colour=colour)
    for megabytes in (32, 64, 128, 256):
        packed = zeros(megabytes << 20)
        for side in (1, 4, 16):
            yield png(side, side, data=packed)
        inside = zlib.compress(bytes(4 * 13))
        for name in (b"a", b"Comment", b"XML:com.adobe.xmp"):
            yield png(4, 4, chunk(b"iCCP", name + b"\x00\x00" + packed), data=inside)
            yield png(4, 4, chunk(b"zTXt", name + b"\x00\x00" + packed), data=inside)
            yield png(4, 4, chunk(b"iTXt", name + b"\x00\x01\x00en\x00" + name + b"\x00" + packed), data=inside)


def jpeg_bombs() -> Iterator[bytes]:
    for options in ({}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 2}, {"subsampling": 1}):
        whole = saved(photo(), "JPEG", **options)
        frame = whole.index(b"\xff\xc2" if "progressive" in options else b"\xff\xc0")
        for width, height in ((65_500, 65_500), (65_535, 2_000), (2_000, 65_535), (8_200, 8_200), (8_000, 8_000), (4_000, 8_000)):
            yield whole[: frame + 5] + struct.pack(">HH", height, width) + whole[frame + 9 :]
    scans = saved(photo(), "JPEG", progressive=True)
    start, end = scans.rindex(b"\xff\xda"), len(scans) - 2
    for copies in (200, 2_000, 20_000):
        yield scans[:end] + scans[start:end] * copies + scans[end:]
    for parts in (70, 100, 200):
        blocks = (b"ICC_PROFILE\x00" + bytes((number + 1, parts)) + bytes(65_000) for number in range(parts))
        yield b"\xff\xd8" + b"".join(b"\xff\xe2" + struct.pack(">H", len(one) + 2) + one for one in blocks) + scans[2:]


def gif_bombs() -> Iterator[bytes]:
    whole = saved(photo().quantize(16), "GIF")
    frame = whole.index(b",")
    for width, height in ((65_535, 65_535), (65_535, 2_000), (9_000, 9_000), (2_000, 65_535), (8_200, 8_300)):
        yield whole[:6] + struct.pack("<HH", width, height) + whole[10:]
        yield whole[: frame + 5] + struct.pack("<HH", width, height) + whole[frame + 9 :]
        yield whole[: frame + 1] + struct.pack("<HH", width, height) + whole[frame + 5 :]


def webp_bombs() -> Iterator[bytes]:
    lossless, lossy = saved(photo(), "WEBP", lossless=True), saved(photo(), "WEBP")
    for width, height in ((16_383, 16_383), (16_383, 8_000), (9_000, 9_000), (8_200, 8_200), (5_000, 16_000)):
        yield lossless[:21] + struct.pack("<I", (width - 1) | (height - 1) << 14) + lossless[25:]
        yield lossy[:26] + struct.pack("<HH", width, height) + lossy[30:]
        sides = (width * 1_000).to_bytes(3, "little") + (height * 1_000).to_bytes(3, "little")
        for inside in (lossless[12:], lossy[12:]):
            body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sides + inside
            yield b"RIFF" + struct.pack("<I", len(body)) + body


def tiff(entries: dict[int, int], data: bytes = b"") -> bytes:
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    return b"II*\x00" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + rows + bytes(4) + data


def tiff_and_bmp_bombs() -> Iterator[bytes]:
    for width, height in ((2**31 - 1, 2**31 - 1), (100_000, 100_000), (9_000, 9_000), (2**30, 1), (70_000, 1_000)):
        for compression in (1, 5, 8, 32_773):
            tags = {256: width, 257: height, 258: 8, 259: compression, 262: 1, 277: 1}
            yield tiff(tags | {273: 200, 278: height, 279: 64}, bytes(200))
        head = struct.pack("<IiiHHIIiiII", 40, min(width, 2**31 - 1), min(height, 2**31 - 1), 1, 24, 0, 0, 0, 0, 0, 0)
        yield b"BM" + struct.pack("<IHHI", 60, 0, 0, 54) + head + bytes(8)
    for side in (16_384, 65_536, 2**20, 2**30):
        for compression in (5, 8):
            tags = {256: 64, 257: 64, 258: 8, 259: compression, 262: 1, 277: 1, 322: side, 323: side, 324: 300, 325: 64}
            yield tiff(tags, bytes(300))


def avif_bombs() -> Iterator[bytes]:
    whole = saved(photo(), "AVIF")
    at = whole.index(b"ispe") + 8
    for width, height in ((65_535, 65_535), (30_000, 30_000), (9_000, 9_000), (2**31 - 1, 2**31 - 1)):
        yield whole[:at] + struct.pack(">II", width, height) + whole[at + 8 :]


def all_bombs() -> list[bytes]:
    makers = (png_bombs, jpeg_bombs, gif_bombs, webp_bombs, tiff_and_bmp_bombs, avif_bombs)
    return [bomb for make in makers for bomb in make()]


_DEFUSE = """
import json, pathlib, resource, sys
from curation.decode import Undecodable, decode, decode_scaled
good, *bombs = sorted(pathlib.Path(sys.argv[1]).iterdir())
decode_scaled(good.read_bytes(), 16)                                   # what is loaded on first use is loaded by now
def resident(name): return int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1])
mapped = resident("VmSize") << 10
resource.setrlimit(resource.RLIMIT_AS, (mapped + int(sys.argv[2]),) * 2)
open("/proc/self/clear_refs", "w").write("5")                          # the peak of resident memory begins anew
before, causes = resident("VmHWM"), []
for bomb in bombs:
    encoded = bomb.read_bytes()
    for look in (decode, lambda encoded: decode_scaled(encoded, 256)):
        try:
            look(encoded)
            causes.append("accepted: " + bomb.name)
        except Undecodable as error:
            causes.append(error.cause)
print(json.dumps({"causes": causes, "grown_kb": resident("VmHWM") - before}))
"""


def test_two_hundred_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    bombs = all_bombs()
    assert len(set(bombs)) == len(bombs) >= 200
    (tmp_path / "000-good.png").write_bytes(saved(photo(), "PNG"))
    for number, bomb in enumerate(bombs, start=1):
        (tmp_path / f"{number:03}-{bomb[:4].hex()}").write_bytes(bomb)
    command = [sys.executable, "-c", _DEFUSE, str(tmp_path), str(ROOM_BYTES)]
    finished = subprocess.run(command, cwd=CODE_ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert finished.returncode == 0, finished.stderr[-2000:]
    seen = json.loads(finished.stdout)
    assert [cause for cause in seen["causes"] if cause.startswith("accepted")] == []
    assert len(seen["causes"]) == 2 * len(bombs)
    assert set(seen["causes"]) <= {"too_large", "bomb", "truncated", "damaged"}
    assert seen["causes"].count("too_large") + seen["causes"].count("bomb") > len(bombs)
    assert seen["grown_kb"] < MAX_GROWTH_MB << 10


def test_an_animation_of_thousands_of_frames_costs_its_first_frame() -> None:
    frames = [photo(seed=number % 7).quantize(8) for number in range(7)]
    whole = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    frame, end = whole.index(b"!\xf9", 13), len(whole) - 1
    many = whole[:end] + whole[frame:end] * 2_000 + whole[end:]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert np.array_equal(decode(many), decode(whole))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


def jpegs() -> dict[str, bytes]:
    """One of every kind of JPEG: 24 in all."""
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: dict[str, bytes] = {}
    for mode in ("RGB", "L", "CMYK"):
        for name, options in {
            "plain": {}, "progressive": {"progressive": True}, "restarts": {"restart_marker_blocks": 3},
            "optimised": {"optimize": True}, "444": {"subsampling": 0}, "turned": {"exif": exif.tobytes()},
            "coarse": {"quality": 10}, "fine": {"quality": 98},
        }.items():  # fmt: skip
            kinds[f"{mode} {name}"] = saved(photo(seed=len(kinds)).convert(mode), "JPEG", **options)
    return kinds


@pytest.mark.parametrize("name", jpegs())
def test_a_jpeg_cut_anywhere_is_refused_by_both_decoders(name: str) -> None:
    whole = jpegs()[name]
    decode(whole)
    assert decode_scaled(whole, 16).header.trailing_bytes == 0
    for length in range(len(whole)):
        with pytest.raises(Undecodable):
            decode_scaled(whole[:length], 16)
    for length in {*range(0, len(whole), 7), len(whole) - 2, len(whole) - 1}:
        with pytest.raises(Undecodable):
            decode(whole[:length])


@pytest.mark.parametrize("name", jpegs())
def test_a_jpeg_cut_and_closed_again_is_refused(name: str) -> None:
    """The end marker alone does not make a file whole: as long as scans lack data, libjpeg's strict mode says so."""
    whole = jpegs()[name]
    start = whole.index(b"\xff\xda") + 14
    first_scan_ends = whole.index(b"\xff\xc4", start) if "progressive" in name else len(whole) - 2
    for length in range(start + 8, first_scan_ends - 8, 11):
        with pytest.raises(Undecodable):
            decode_scaled(whole[:length] + b"\xff\xd9", 16)


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("WEBP", {}), ("WEBP", {"lossless": True}), ("GIF", {}), ("AVIF", {})]
)
def test_other_formats_cut_anywhere_are_refused(kind: str, options: dict[str, object]) -> None:
    whole = saved(photo().quantize(32) if kind == "GIF" else photo(), kind, **options)
    decode(whole)
    lengths = range(len(whole)) if kind != "AVIF" else range(0, len(whole), 13)
    for length in lengths:
        with pytest.raises(Undecodable):
            decode(whole[:length])


@pytest.mark.parametrize("kind", ["TIFF", "BMP"])
def test_a_tiff_or_bmp_that_lost_pixels_is_refused(kind: str) -> None:
    whole = saved(photo(), kind)
    for length in range(0, len(whole) - 96 * 3, 97):
        with pytest.raises(Undecodable):
            decode(whole[:length])


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("run.sh", "echo hello")
    return buffer.getvalue()


PAYLOADS = {
    "zip": archive(),
    "zip with a comment": archive()[:-2] + b"\x05\x00abcde",
    "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer <<>>\n%%EOF\n",
    "script": b"<script>alert(document.domain)</script>",
    "php": b"\n<?php system($_GET['c']); ?>",
    "html": b"\x00\x00<HTML><body onload=alert(1)>",
    "javascript": b"*/=1;alert(document.cookie);/*",
    "program": b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00",
    "elf": b"\x7fELF\x02\x01\x01\x00\x00\x00",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
}


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_a_picture_with_something_else_behind_it_is_refused(kind: str, payload: str) -> None:
    whole = saved(photo().quantize(32) if kind == "GIF" else photo(), kind)
    for look in (probe, decode, lambda encoded: decode_scaled(encoded, 16)):
        with pytest.raises(Undecodable) as caught:
            look(whole + PAYLOADS[payload])
        assert caught.value.cause == "polyglot"


def test_archives_and_documents_hidden_inside_are_refused() -> None:
    whole, zipped = saved(photo(), "JPEG"), archive()
    comment = b"\xff\xfe" + struct.pack(">H", len(PAYLOADS["pdf"]) + 2) + PAYLOADS["pdf"]
    text = chunk(b"tEXt", b"c\x00" + zipped)
    drawn = saved(photo(), "PNG")
    for polyglot in (whole[:2] + comment + whole[2:], drawn[:33] + text + drawn[33:]):
        with pytest.raises(Undecodable, match="polyglot"):
            decode(polyglot)


@pytest.mark.parametrize(
    ("encoded", "seen"),
    [
        (b"", "0 bytes"), (b"<!DOCTYPE html><html><body>404</body></html>", "HTML"), (b"\n\n <html>", "HTML"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "SVG"),
        (b'<?xml version="1.0"?>\n<!-- x -->\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"), (PAYLOADS["pdf"], "PDF"),
        (PAYLOADS["zip"], "ZIP"), (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"), (b"8BPS\x00\x01", "Photoshop"),
        (b"\x00\x00\x01\x00\x01\x00", "icon"), (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "heic"), (b"MZ\x90", "Windows"),
        (b'{"error": "not found"}', "text"), (bytes(4096), "zeros"), (b"RIFF\x24\x00\x00\x00WAVEfmt ", "RIFF"),
        (b"GIF88a" + bytes(40), "unknown"), (b"P6 2 2 255 " + bytes(12), "unknown"), (b"\x1f\x8b\x08", "gzip"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_named(encoded: bytes, seen: str) -> None:
    with pytest.raises(Undecodable, match=seen) as caught:
        decode_scaled(encoded, 256)
    assert (caught.value.cause, caught.value.reason) == ("not_a_picture", "unreadable")


def test_random_damage_never_escapes_as_another_error_and_both_decoders_agree() -> None:
    """1,400 files with bytes changed, cut out or doubled: either pixels or `Undecodable`."""
    draw = random.Random(7)
    wholes = [saved(photo(seed=1), kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF")]
    wholes.append(saved(photo(seed=1).quantize(32), "GIF"))
    for _ in range(200):
        for whole in wholes:
            damaged = bytearray(whole)
            for _ in range(draw.randint(1, 4)):
                at = draw.randrange(len(damaged))
                damaged[at : at + draw.choice((0, 1, 4))] = draw.randbytes(draw.choice((0, 1, 4)))
            assert _outcome(decode, bytes(damaged)) == _outcome(lambda encoded: decode_scaled(encoded, 16), bytes(damaged))


def _outcome(look, encoded: bytes) -> str:
    try:
        look(encoded)
    except Undecodable as error:
        return error.cause
    return "decoded"
