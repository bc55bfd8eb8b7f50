import pytest

from curation.knowledge.kinds import TEXT_KINDS, draw
from curation.knowledge.readback import edits, judged, read_back, reduced
from curation.knowledge.sample import Element
from models.perception.ocr import ReadLine, TextReader


@pytest.fixture(scope="module")
def reader() -> TextReader:
    return TextReader()


def test_edits_are_the_fewest_changes():
    assert edits("kitten", "sitting") == 3
    assert edits("", "abc") == edits("abc", "") == 3
    assert edits("文字渲染", "文字沧染") == 1


def test_widths_blanks_and_quotes_do_not_count():
    assert reduced("Ｈello，“世界”。 A—B") == reduced('hello, "世界". a-b')


def test_texts_are_compared_where_they_stand():
    elements = [Element(kind="text", text="left", box=(0, 0, 50, 20)), Element(kind="text", text="right", box=(60, 0, 110, 20))]
    lines = [ReadLine("right", 1.0, (61, 2, 108, 18)), ReadLine("left", 1.0, (2, 2, 48, 18))]
    assert judged(elements, lines).distance == 0
    swapped = [ReadLine("left", 1.0, (61, 2, 108, 18)), ReadLine("right", 1.0, (2, 2, 48, 18))]
    assert judged(elements, swapped).reason == "wrong_text"


def test_a_picture_without_readable_text_says_so():
    elements = [Element(kind="text", text="hello", box=(0, 0, 50, 20))]
    verdict = judged(elements, [])
    assert (verdict.is_kept, verdict.reason, verdict.worst, verdict.worst_read) == (False, "unreadable_text", "hello", "")
    assert judged([Element(kind="plot", text="", box=(0, 0, 5, 5))], []).reason == "no_text"


def test_a_wrong_character_in_a_short_word_is_not_kept(reader):
    sample = draw("layouts", 1, 0)
    assert read_back(sample, reader).is_kept
    first, *rest = sample.truth.elements
    wrong = first.model_copy(update={"text": first.text[::-1] + "xyz"})
    lied = sample._replace(truth=sample.truth.model_copy(update={"elements": (wrong, *rest)}))
    verdict = read_back(lied, reader)
    assert not verdict.is_kept
    assert verdict.worst == wrong.text


@pytest.mark.slow
def test_easy_rendered_text_reads_back(reader):
    """At least 95 of 100 pictures with letters of 16 pixels or more, over the three ways of rendering."""
    samples = [draw(kind, 77, index) for kind in TEXT_KINDS for index in range(20)]
    easy = [sample for sample in samples if sample.load.smallest_text_px >= 16]
    verdicts = [read_back(sample, reader) for sample in easy]
    assert len(easy) >= 40
    assert sum(verdict.is_kept for verdict in verdicts) >= 0.95 * len(easy), [
        verdict for verdict in verdicts if not verdict.is_kept
    ]
