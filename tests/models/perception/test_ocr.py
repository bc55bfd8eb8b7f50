import numpy as np
from PIL import Image, ImageDraw

from curation.knowledge.fonts import FONTS, loaded
from models.perception.ocr import TextReader


def picture(*texts: str) -> np.ndarray:
    image = Image.new("RGB", (480, 60 * len(texts) + 20), "white")
    for place, text in enumerate(texts):
        ImageDraw.Draw(image).text((20, 20 + 60 * place), text, fill="black", font=loaded(FONTS[0], 30))
    return np.asarray(image)


def test_chinese_and_english_lines_are_read_in_order_with_their_boxes():
    texts = ("Open data for images", "文字渲染与知识图像2025", "12.5% of 300")
    lines = TextReader().read(picture(*texts))
    assert [line.text for line in lines] == list(texts)
    assert all(line.score > 0.9 for line in lines)
    for place, line in enumerate(lines):
        left, top, right, bottom = line.box
        assert 5 < left < 35
        assert 150 < right < 480
        assert 60 * place < top < bottom < 60 * place + 80


def test_an_empty_picture_has_no_lines():
    assert TextReader().read(np.full((120, 200, 3), 255, dtype=np.uint8)) == []


def test_version_tells_the_settings():
    assert TextReader(least_score=0.7).version != TextReader().version
