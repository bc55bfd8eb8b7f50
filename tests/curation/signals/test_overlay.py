"""Text laid over a picture is told from text in it, and its place and area are kept."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw, ImageFont

from curation.decode import decode_scaled
from curation.signals import overlay
from curation.signals.contract import VIEW_SIDE_PX, Batch
from curation.signals.overlay import Overlays, covered, defects
from models.perception.ocr import ReadLine


def line(text: str, *, top: float = 40, height: float = 10, left: float = 20, width: float = 60) -> ReadLine:
    return ReadLine(text, 0.9, (left, top, left + width, top + height))


@pytest.mark.parametrize(
    ("text", "is_defect"),
    [
        ("www.shutterpics.com", True), ("© 2024 John Smith", True), ("@maria.paints", True), ("PhotoAgency.co", True),
        ("图虫创意", True), ("版权所有", True), ("Copyright Anna", True), ("All rights reserved", True),
        ("SUMMER SALE", False), ("E = mc² (c)", False), ("p@ge", False), ("Dr. Who", False), ("咖啡馆", False), ("3.14", False),
    ],
)  # fmt: skip
def test_a_line_in_the_middle_is_a_defect_when_it_names_an_owner(text: str, is_defect: bool) -> None:
    assert defects([line(text)], height_px=100) == [is_defect]


def test_small_lines_at_the_edge_and_lines_that_repeat_are_defects() -> None:
    by, title = line("Anna Meyer", top=92, height=6), line("GRAND OPENING", top=0, height=18)
    assert defects([by, title], height_px=100) == [True, False]
    tiles = [line("Lumen Stock", top=top) for top in (30, 50, 70)]
    assert defects(tiles, height_px=100) == [True] * 3
    assert defects(tiles[:2], height_px=100) == [False] * 2
    assert defects([line("100", top=top) for top in (30, 50, 70)], height_px=100) == [False] * 3, "a column of a table"


def test_area_under_boxes_counts_once_and_ends_at_the_picture() -> None:
    lines = [line("a", left=0, top=0, width=50, height=50), line("b", left=25, top=0, width=50, height=50)]
    assert covered(lines, width_px=100, height_px=100) == pytest.approx(0.375)
    assert covered([line("c", left=-20, top=-20, width=200, height=200)], width_px=100, height_px=80) == 1
    assert covered([], width_px=100, height_px=100) == 0


def jpeg(*texts: tuple[tuple[int, int], str, int]) -> bytes:
    """A photograph's worth of smooth colour, 1,200 x 800, with texts at places, of sizes."""
    ramp = np.linspace(40, 200, 1200, dtype=np.uint8)
    image = Image.fromarray(np.tile(np.stack([ramp, np.full(1200, 90, np.uint8), ramp[::-1]], -1), (800, 1, 1)))
    draw = ImageDraw.Draw(image)
    for place, text, size in texts:
        draw.text(place, text, "white", ImageFont.load_default(size))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def test_real_pictures_are_read_on_the_shared_view() -> None:
    plain = jpeg()
    marked = jpeg(((760, 735), "www.shutterpics.com", 40), ((200, 320), "GRAND OPENING", 90))
    batch = Batch(pa.table({}), [decode_scaled(one, VIEW_SIDE_PX) for one in (plain, marked)])
    assert batch.pictures[0].pixels.shape == (400, 600, 3)
    rows = pa.table(dict(overlay.SIGNAL.build()(batch)), schema=overlay.SCHEMA).to_pylist()
    assert rows[0] == {"text_boxes": [], "text_read": "", "text_area": 0, "defect_area": 0}
    title, mark = rows[1]["text_boxes"]
    assert (title["text"].replace(" ", ""), mark["text"]) == ("GRANDOPENING", "www.shutterpics.com")
    assert (title["is_defect"], mark["is_defect"]) == (False, True)
    assert mark["x0"] == pytest.approx(760 / 1200, abs=0.03)
    assert mark["y1"] == pytest.approx(780 / 800, abs=0.03)
    assert 0.01 < rows[1]["defect_area"] < 0.05 < rows[1]["text_area"] < 0.2


def test_pictures_with_and_without_lines_do_not_mind_each_other() -> None:
    class Fixed:
        """Reads a line where the picture is dark."""

        version = overlay.READER_VERSION

        def read(self, pixels: np.ndarray) -> list[ReadLine]:
            return [] if pixels.mean() > 128 else [ReadLine("@somebody", 0.8, (-5.0, 10.0, 30.0, 20.0))]

    pictures = [decode_scaled(_flat(level), VIEW_SIDE_PX) for level in (255, 0, 250)]
    found = Overlays(Fixed())(Batch(pa.table({}), pictures))
    assert found["defect_area"].to_pylist() == [0, pytest.approx(30 * 10 / 2400), 0]
    (box,) = found["text_boxes"].to_pylist()[1]
    assert (box["x0"], box["x1"], box["y0"]) == (0, 0.5, 0.25)


def test_a_lone_digit_is_texture_and_a_lone_han_character_is_text() -> None:
    class Eights:
        """Reads a cup as a digit."""

        version = overlay.READER_VERSION

        def read(self, pixels: np.ndarray) -> list[ReadLine]:
            return [ReadLine(text, 0.8, (0.0, 0.0, 30.0, 40.0)) for text in ("8", "O.", "福")]

    found = Overlays(Eights())(Batch(pa.table({}), [decode_scaled(_flat(0), VIEW_SIDE_PX)]))
    assert found["text_read"].to_pylist() == ["福"]
    assert found["text_area"].to_pylist() == [0.5]


def _flat(level: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), (level,) * 3).save(buffer, "PNG")
    return buffer.getvalue()
