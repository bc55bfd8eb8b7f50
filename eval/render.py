"""Pictures of pictures: labelled grids as PNG, for a folder, a message or MLflow. No browser is needed to see how a run went.

y, x pixels
"""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_GAP_PX = 10
_LINE_PX = 15
_LABEL_LINES = 3
_FONT_PX = 12
_INK, _PALE, _PAPER = (28, 30, 36), (110, 116, 128), (255, 255, 255)


class Row(NamedTuple):
    """One line of a grid: pictures side by side and what they are."""

    pictures: tuple[UInt8[np.ndarray, "y x 3"] | None, ...]
    """None leaves a gap."""
    label: str


def to_pixels(image: Float[Tensor, "3 y x"]) -> UInt8[np.ndarray, "y x 3"]:
    """8-bit pixels of a picture in [-1, 1]; values outside are clipped."""
    scaled = ((image.detach().float().clamp(-1, 1) + 1) * 127.5).round()
    return scaled.to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def to_image(pixels: UInt8[np.ndarray, "y x 3"]) -> Float[Tensor, "3 y x"]:
    """The picture in [-1, 1] of 8-bit pixels."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 127.5 - 1


def png(pixels: UInt8[np.ndarray, "y x 3"]) -> bytes:
    """The picture as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def read_png(path: Path) -> UInt8[np.ndarray, "y x 3"]:
    """The pixels of a stored picture."""
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def at_size(pixels: UInt8[np.ndarray, "y x 3"], height_px: int, width_px: int) -> UInt8[np.ndarray, "{height_px} {width_px} 3"]:
    """The picture at another size, bicubic and antialiased; as it is when it has that size."""
    if pixels.shape[:2] == (height_px, width_px):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width_px, height_px), Image.Resampling.BICUBIC))


def grid(rows: Sequence[Row], *, heads: Sequence[str], across: int, cell_px: int) -> UInt8[np.ndarray, "y x 3"]:
    """All rows as tiles, `across` of them side by side, each with its label below.

    Args:
        heads: names of a row's pictures, for example ("reference", "result", "truth").
        cell_px: longer side at which every picture is shown; small ones are enlarged without smoothing.

    Raises:
        ValueError: nothing to show.
    """
    if not rows:
        raise ValueError("a grid needs at least one row")
    tile = (len(heads) * (cell_px + _GAP_PX) + _GAP_PX, cell_px + _GAP_PX + _LABEL_LINES * _LINE_PX)
    down = -(-len(rows) // across)
    canvas = Image.new("RGB", (across * tile[0], down * tile[1] + _LINE_PX + _GAP_PX), _PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_FONT_PX)
    for column in range(min(across, len(rows))):
        for place, head in enumerate(heads):
            draw.text((column * tile[0] + _GAP_PX + place * (cell_px + _GAP_PX), _GAP_PX // 2), head, _PALE, font)
    for index, row in enumerate(rows):
        corner = (index % across * tile[0] + _GAP_PX, index // across * tile[1] + _LINE_PX + _GAP_PX)
        _draw_tile(canvas, row, corner=corner, cell_px=cell_px, width_px=tile[0] - 2 * _GAP_PX)
    return np.asarray(canvas)


def _draw_tile(canvas: Image.Image, row: Row, *, corner: tuple[int, int], cell_px: int, width_px: int) -> None:
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_FONT_PX)
    for place, pixels in enumerate(row.pictures):
        if pixels is not None:
            scale = cell_px / max(pixels.shape[:2])
            height, width = (max(1, round(scale * side)) for side in pixels.shape[:2])
            shown = Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), _filter(pixels, cell_px))
            left, top = corner[0] + place * (cell_px + _GAP_PX), corner[1]
            canvas.paste(shown, (left + (cell_px - width) // 2, top + (cell_px - height) // 2))
    lines = textwrap.wrap(row.label, max(8, round(width_px / (_FONT_PX * 0.53))), max_lines=_LABEL_LINES, placeholder="…")
    for number, line in enumerate(lines):
        draw.text((corner[0], corner[1] + cell_px + 2 + number * _LINE_PX), line, _INK, font)


def _filter(pixels: UInt8[np.ndarray, "y x 3"], cell_px: int) -> Image.Resampling:
    return Image.Resampling.NEAREST if cell_px >= max(pixels.shape[:2]) else Image.Resampling.LANCZOS
