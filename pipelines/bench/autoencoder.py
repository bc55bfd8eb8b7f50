"""Autoencoder: what pictures of 64 to 1,024 px come back as from its latents, beside simple ways to keep as little of them.

The bundle is the embedded one, or the one named by `--bundle`. Its latents are what a generator has to draw, so the fewer numbers
the better; the peers say what pictures would lose that kept as much in other forms:

* bicubic, one cell: reduced as the autoencoder reduces, to one pixel a cell of its latent, and enlarged again.
* bicubic, as many numbers: reduced until it has as many values as the latent has.
* JPEG, as many bytes: as latents take in bf16, by the best quality at full, half or quarter size that keeps to them. It is made
  to keep pictures, latents are made to be drawn by a network, and bear noise a third as strong as they are: they keep fewer bits.

A grid of real pictures and reconstructions is written into the cache folder; its place is in the rows of the result.
"""

import io
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from eval.reconstruction import Fidelity, Originals
from eval.render import Row, grid, png, to_image, to_pixels
from infra.errors import UserError
from infra.settings import settings_from_environment
from models.autoencoder import Autoencoder, AutoencoderConfig
from models.bundle import AutoencoderBundle, GeneratorBundle, load_tensors, read_manifest
from pipelines.bench.autoencoder_pictures import Kind, Pixels, pictures
from pipelines.bench.result import Measured
from pipelines.serve.choice import pretrained_folder

SIZES_PX, QUICK_SIZES_PX = (64, 128, 256, 512, 1024), (64, 128)
NUM_EACH, QUICK_NUM_EACH = 16, 4
_BF16_BYTES = 2
_SHOWN_EACH, _CELL_PX = 4, 192
_JPEG_SIDES, _JPEG_QUALITIES = (1, 2, 4), range(5, 96, 5)
_CELL, _NUMBERS, _JPEG = "bicubic, one cell", "bicubic, as many numbers", "jpeg, as many bytes"


def run(*, is_quick: bool, bundle: Path | None = None) -> Measured:
    """Scores at every size, over emoji, knowledge pictures and photographs; pixels and structure of each kind in the rows.

    Raises:
        UserError: the bundle holds no autoencoder, or pictures are of packages that are not installed.
    """
    autoencoder, trained_px, digest = _loaded(bundle or Path(pretrained_folder("generator")))
    cache_dir = settings_from_environment().cache_dir
    scores: dict[str, dict[str, float]] = {"ours": {}, _CELL: {}, _NUMBERS: {}, _JPEG: {}}
    rows: list[dict[str, float | str]] = []
    shown: list[Row] = []
    for size_px in QUICK_SIZES_PX if is_quick else SIZES_PX:
        real = pictures(size_px, QUICK_NUM_EACH if is_quick else NUM_EACH, cache_dir)
        all_real = [one for some in real.values() for one in some]
        originals, again = Originals(all_real), _ways(autoencoder, all_real)
        for way, known in scores.items():
            found = originals.compare(again[way])
            known |= {f"{name}_{size_px}": value for name, value in _means(found.each).items()}
            known[f"frechet_lite0_{size_px}"] = found.frechet_lite0
            each = iter(found.each)
            rows += [
                {"way": way, "kind": kind, "size_px": size_px, **_means([next(each) for _ in some])}
                for kind, some in real.items()
            ]  # fmt: skip
        shown += _lines(real, again, size_px)
    place = cache_dir / f"bench-autoencoder-{digest}{'-quick' if is_quick else ''}.png"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(png(grid(shown, heads=["real", "ours", _CELL, _NUMBERS, _JPEG], across=2, cell_px=_CELL_PX)))
    return _measured(scores, autoencoder.config, trained_px, rows=(*rows, {"grid": str(place), "bundle": digest}))


def _measured(
    scores: Mapping[str, Mapping[str, float]], config: AutoencoderConfig, trained_px: int, *,
    rows: tuple[dict[str, float | str], ...],
) -> Measured:  # fmt: skip
    ours, peers = scores["ours"], {way: dict(known) for way, known in scores.items() if way != "ours"}
    sizes_px = [int(name.removeprefix("psnr_db_")) for name in ours if name.startswith("psnr_db_")]
    ratios = {
        f"error_of_{way.replace(', ', '_').replace(' ', '_')}_{size_px}":
            10 ** ((ours[f"psnr_db_{size_px}"] - peers[way][f"psnr_db_{size_px}"]) / 20)
        for way in (_CELL, _NUMBERS) for size_px in sizes_px
    }  # fmt: skip
    facts = {"pixel_values_a_latent_value": 3 * config.factor**2 / config.latent_channels}
    name = f"at {trained_px} px, its size, pictures come back better than from as many numbers of them"
    checks = {name: ours[f"psnr_db_{trained_px}"] > peers[_NUMBERS][f"psnr_db_{trained_px}"]} if trained_px in sizes_px else {}
    return Measured(ours={**facts, **ours}, peers=peers, ratios=ratios, checks=checks, rows=rows)


def _loaded(folder: Path) -> tuple[Autoencoder, int, str]:
    """The autoencoder of a bundle, the size it was trained on, and the bundle's digest."""
    manifest = read_manifest(folder)
    contents = manifest.contents
    if not isinstance(contents, AutoencoderBundle | GeneratorBundle):
        raise UserError(f"bundle {folder} is of kind {contents.kind!r}, `bench autoencoder` needs an autoencoder or a generator")
    autoencoder = Autoencoder(contents.autoencoder)
    autoencoder.load_state_dict(load_tensors(folder, "autoencoder"))
    return autoencoder.eval(), contents.size_px, manifest.digest


def _ways(autoencoder: Autoencoder, real: Sequence[Pixels]) -> dict[str, list[Pixels]]:
    """What pictures of one size come back as, by way of keeping them."""
    config, size_px = autoencoder.config, real[0].shape[0]
    cells = size_px // config.factor
    num_values = cells**2 * config.latent_channels
    return {
        "ours": [_reconstructed(autoencoder, one) for one in real],
        _CELL: [_reduced(one, cells) for one in real],
        _NUMBERS: [_reduced(one, max(1, round((num_values / 3) ** 0.5))) for one in real],
        _JPEG: [_compressed(one, _BF16_BYTES * num_values) for one in real],
    }  # fmt: skip


@torch.inference_mode()
def _reconstructed(autoencoder: Autoencoder, real: Pixels) -> Pixels:
    return to_pixels(autoencoder.decode(autoencoder.encode(to_image(real)[None]))[0])


def _reduced(real: Pixels, side_px: int) -> Pixels:
    return _resized(_resized(real, side_px), len(real))


def _compressed(real: Pixels, num_bytes: int) -> Pixels:
    """From the best JPEG of at most so many bytes, at the largest size where there is one; the smallest where there is none."""
    chosen = b""
    for by in _JPEG_SIDES:
        reduced = _resized(real, len(real) // by)
        fits = bisect_right(_JPEG_QUALITIES, num_bytes, key=lambda quality: len(_jpeg(reduced, quality)))
        chosen = _jpeg(reduced, _JPEG_QUALITIES[max(0, fits - 1)])
        if fits:
            break
    with Image.open(io.BytesIO(chosen)) as picture:
        return _resized(np.asarray(picture.convert("RGB")), len(real))


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def _resized(pixels: Pixels, side_px: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((side_px, side_px), Image.Resampling.BICUBIC))


def _means(each: Sequence[Fidelity]) -> dict[str, float]:
    return {name: float(np.mean([getattr(one, name) for one in each])) for name in Fidelity._fields}


def _lines(real: Mapping[Kind, list[Pixels]], again: Mapping[str, list[Pixels]], size_px: int) -> list[Row]:
    """Some pictures of each kind, with what they come back as."""
    lines, before = [], 0
    for kind, some in real.items():
        for place in range(0, len(some), max(1, len(some) // _SHOWN_EACH))[:_SHOWN_EACH]:
            lines.append(Row((some[place], *(shown[before + place] for shown in again.values())), f"{kind}, {size_px} px"))
        before += len(some)
    return lines
