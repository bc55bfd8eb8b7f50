"""Decoding for measurement: a view just large enough, against the whole picture by PIL and by the same libjpeg.

The pictures are generated: noise of several scales with grain, as JPEGs of 1024x768 to 1600x1200 px at quality 88, which take
about as many bytes as photographs do. CPU time, not wall time: neighbours on the machine disturb it less.
"""

import io
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image

from curation.decode import Undecodable, decode, decode_scaled, probe
from pipelines.bench.result import Measured

MIN_SIDE_PX = 256
_SIZES = ((1024, 768), (1280, 960), (1600, 1200), (1200, 1600))
_SEED = 5


def run(*, is_quick: bool) -> Measured:
    """CPU milliseconds a picture of each way, and whether the fast one still notices files that are cut short."""
    files = [picture(_SIZES[index % len(_SIZES)], seed=_SEED + index) for index in range(8 if is_quick else 40)]
    ways: Mapping[str, Callable[[bytes], object]] = {
        "scaled": lambda file: decode_scaled(file, MIN_SIDE_PX), "probe": probe, "full": decode, "PIL": _by_pil,
        "PIL draft": _by_draft,
    }  # fmt: skip
    spent = {name: _cpu_ms(way, files, repetitions=3 if is_quick else 7) for name, way in ways.items()}
    kilobytes = statistics.mean(map(len, files)) / 1000
    return Measured(
        ours={"cpu_ms": spent["scaled"], "kB": kilobytes},
        peers={name: {"cpu_ms": spent[name], "kB": kilobytes} for name in ("probe", "full", "PIL", "PIL draft")},
        ratios={f"cpu_vs_{name.replace(' ', '_')}": spent[name] / spent["scaled"] for name in ("full", "PIL", "PIL draft")},
        checks={
            "files cut short are refused": all(
                _is_refused(file[: len(file) * part // 10]) for file in files for part in (1, 5, 9)
            ),
            "a file without its end marker is refused": all(_is_refused(file[:-2]) for file in files),
        },
    )


def picture(size: tuple[int, int], *, seed: int) -> bytes:
    """A JPEG of this width and height with detail at every scale."""
    width, height = size
    generator = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), dtype=np.float32)
    for cell in (256, 64, 16, 4):
        coarse = generator.integers(0, 256, (height // cell + 1, width // cell + 1, 3), dtype=np.uint8)
        total += np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), dtype=np.float32) * cell**0.5
    total = total / sum(cell**0.5 for cell in (256, 64, 16, 4)) + generator.normal(0, 3, total.shape)
    buffer = io.BytesIO()
    Image.fromarray(total.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _cpu_ms(way: Callable[[bytes], object], files: Sequence[bytes], *, repetitions: int) -> float:
    """Median over the repetitions of the mean over the files, after one warm-up."""
    way(files[0])
    means: list[float] = []
    for _ in range(repetitions):
        began = time.process_time()
        for file in files:
            way(file)
        means.append((time.process_time() - began) / len(files) * 1000)
    return statistics.median(means)


def _by_pil(file: bytes) -> object:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def _by_draft(file: bytes) -> object:
    image = Image.open(io.BytesIO(file))
    image.draft("RGB", (MIN_SIDE_PX, MIN_SIDE_PX))
    return np.asarray(image.convert("RGB"))


def _is_refused(file: bytes) -> bool:
    try:
        decode_scaled(file, MIN_SIDE_PX)
    except Undecodable:
        return True
    return False
