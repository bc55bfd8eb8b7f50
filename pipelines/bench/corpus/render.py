"""Making the files of the corpus, and saying what is in them.

Photographs come from the packages scikit-image, scikit-learn and matplotlib, so nothing is downloaded and no picture is kept in
this repository. Windows are resized to their size, given grain as a camera would, and encoded.

The bytes depend on the encoders. `DIGEST` was made with Pillow 13.0.0 (libjpeg-turbo 3.2.0, libwebp 1.6.0, zlib-ng 2.3.3), numpy
2.4.6, scikit-image 0.26.0, scikit-learn 1.9.1 and matplotlib 3.11.2; `PLAN_DIGEST` depends on none of them.
"""

import hashlib
import io
import json
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from infra.errors import UserError
from pipelines.bench.corpus.plan import NUM_FILES, SEED, Photo, Planned, plan

DIGEST = "beff19d1690134538c85e0a234e27dc5f0fea54ef28f93e800a96f41d0580c9b"
"""SHA-256 over name and content of the 2,000 files of `SEED`."""

PLAN_DIGEST = "282924ad47ed0f9d871d6e2468aa00c437511a4aa32fac7966fa29ffd0f0d513"
"""SHA-256 of the plan of `SEED`: what the files hold, whatever the encoders make of it."""

_PHOTOS: Mapping[str, tuple[str, ...]] = {
    "skimage": (
        "data/astronaut.png", "data/brick.png", "data/camera.png", "data/chelsea.png", "data/coffee.png", "data/coins.png",
        "data/grass.png", "data/gravel.png", "data/hubble_deep_field.jpg", "data/ihc.png", "data/motorcycle_left.png",
        "data/retina.jpg", "data/rocket.jpg",
    ),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
    "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
}  # fmt: skip
_GRAIN = 4.0
"""Standard deviation of the grain, of 255."""
_GRAIN_SIDE_PX = 2_048 + 512
_WEBP_QUALITY = 85
_TRUTH_FILE = "truth.json"


class Truth(NamedTuple):
    """What is in a corpus."""

    files: list[Planned]
    digest: str
    """SHA-256 over name and content of all files."""
    plan_digest: str

    @property
    def bad(self) -> frozenset[str]:
        """Files that are no whole picture."""
        return frozenset(one.name for one in self.files if one.kind in ("truncated", "html"))

    @property
    def clean(self) -> list[str]:
        """Files that are whole pictures, in order."""
        return [one.name for one in self.files if one.kind not in ("truncated", "html")]

    def group(self) -> dict[str, str]:
        """File to the name of the original that it is, or copies."""
        return {one.name: one.original or one.name for one in self.files}


def make_corpus(cache_dir: Path, *, num_files: int = NUM_FILES, seed: int = SEED, workers: int = 2) -> tuple[Path, Truth]:
    """The folder of the files and what is in it; made once, then found again.

    Raises:
        UserError: a package that has photographs is not installed.
    """
    files = planned_files(num_files=num_files, seed=seed)
    plan_digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    home = cache_dir / "bench-corpus" / f"{num_files}-{seed}-{plan_digest[:12]}"
    folder, truth_file = home / "files", home / _TRUTH_FILE
    if truth_file.exists():
        return folder, Truth(files, json.loads(truth_file.read_text())["digest"], plan_digest)
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(partial(_write, folder), _families(files), chunksize=16))
    truth = Truth(files, digest_of(folder, files), plan_digest)
    _store(truth, truth_file)
    return folder, truth


def planned_files(*, num_files: int = NUM_FILES, seed: int = SEED) -> list[Planned]:
    """What each file of the corpus is.

    Raises:
        UserError: see `make_corpus`.
    """
    photos = [Photo(name, *_photo(name).size) for name in photo_paths()]
    return plan(photos, num_files=num_files, seed=seed)


def digest_of(folder: Path, files: Sequence[Planned]) -> str:
    """SHA-256 over name and content of the files, in the order of their names."""
    digest = hashlib.sha256()
    for one in files:
        content = (folder / one.name).read_bytes()
        digest.update(f"{one.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def photo_paths() -> dict[str, Path]:
    """Name of each photograph to the file in the package that has it.

    Raises:
        UserError: see `make_corpus`.
    """
    paths: dict[str, Path] = {}
    for package, files in _PHOTOS.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise UserError(f"no package {package}, whose photographs the corpus is cut from; `pip install 'seedbed[bench]'`")
        paths |= {Path(file).stem: Path(spec.origin).parent / file for file in files}
    return paths


def _families(files: Sequence[Planned]) -> list[list[Planned]]:
    """Every file with its copies after it, so that one worker makes both."""
    families: dict[str, list[Planned]] = {one.name: [one] for one in files if not one.original}
    for one in files:
        if one.original:
            families[one.original].append(one)
    return list(families.values())


def _write(folder: Path, family: Sequence[Planned]) -> None:
    original, *copies = family
    content = _content(original)
    (folder / original.name).write_bytes(content)
    for copy in copies:
        (folder / copy.name).write_bytes(content if copy.kind == "exact" else _again(content, copy))


def _content(one: Planned) -> bytes:
    if one.kind == "html":
        return _page(one.draw_seed)
    content = _encoded(_with_grain(_cropped(one), one.draw_seed), one)
    return content[: int(len(content) * one.kept_share)]


def _cropped(one: Planned) -> Image.Image:
    return _photo(one.photo).resize(one.size, Image.Resampling.BICUBIC, box=one.window)


def _with_grain(picture: Image.Image, seed: int) -> Image.Image:
    """Noise added, cut from one large piece at a place that the seed says."""
    width, height = picture.size
    left, top = seed % (_GRAIN_SIDE_PX - width + 1), seed // 4_099 % (_GRAIN_SIDE_PX - height + 1)
    noisy = np.asarray(picture, dtype=np.int16) + _grain()[top : top + height, left : left + width]
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _again(content: bytes, copy: Planned) -> bytes:
    """A near duplicate: what the file shows, smaller and recompressed."""
    shown = Image.open(io.BytesIO(content)).convert("RGB")
    return _encoded(shown.resize(copy.size, Image.Resampling.LANCZOS), copy)


def _encoded(picture: Image.Image, one: Planned) -> bytes:
    buffer = io.BytesIO()
    match one.format:
        case "jpeg":
            picture.save(buffer, "JPEG", quality=one.quality)
        case "png":
            picture.save(buffer, "PNG", compress_level=3)
        case "webp":
            picture.save(buffer, "WEBP", quality=_WEBP_QUALITY)
    return buffer.getvalue()


def _page(seed: int) -> bytes:
    rows = "".join(f"<p>The page {seed} has moved, entry {row}.</p>\n" for row in range(20 + seed % 40))
    return f"<!DOCTYPE html>\n<html><head><title>404</title></head><body>\n{rows}</body></html>\n".encode()


@cache
def _photo(name: str) -> Image.Image:
    with Image.open(photo_paths()[name]) as photo:
        return photo.convert("RGB")


@cache
def _grain() -> np.ndarray:
    """One piece of noise for all pictures: drawing a number for every pixel would take longer than all the rest."""
    noise = np.random.default_rng(SEED).standard_normal((_GRAIN_SIDE_PX, _GRAIN_SIDE_PX, 3), dtype=np.float32)
    return np.rint(noise * _GRAIN).astype(np.int16)


def _store(truth: Truth, place: Path) -> None:
    """Written beside and renamed: a folder with this file in it is whole."""
    described = {"digest": truth.digest, "plan_digest": truth.plan_digest, "files": [one._asdict() for one in truth.files]}
    unfinished = place.with_suffix(".part")
    unfinished.write_text(json.dumps(described, indent=1))
    unfinished.replace(place)
