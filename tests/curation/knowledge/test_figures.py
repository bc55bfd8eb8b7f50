"""Figures are found on pages that this file makes: body text, a plot, a picture in two parts, captions in English and Chinese."""

import io

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure as Page
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from curation.knowledge.figures import Figure, FiguresConfig, figures
from curation.knowledge.fonts import FONTS

BODY = (
    "The measured values rise with time, as the curve below shows, and the two panels compare both halves of the year in detail."
)
PAGE_PT = (595, 842)


def article() -> bytes:
    """An A4 page: text, a plot with axis labels and a caption of two lines, two pictures with a Chinese caption, a rule."""
    with rc_context({"pdf.fonttype": 42}):
        page = Page(figsize=(PAGE_PT[0] / 72, PAGE_PT[1] / 72))
        for y in (0.95, 0.93, 0.57, 0.55, 0.12, 0.10):
            page.text(0.1, y, BODY, fontsize=8)
        plot = page.add_axes((0.2, 0.69, 0.6, 0.2))
        plot.plot([0, 1, 2, 3, 4], [1, 3, 2, 5, 4])
        plot.set_xlabel("Time (s)")
        plot.set_ylabel("Voltage (V)")
        page.text(0.2, 0.635, "Figure 3: Voltage over time, measured at the sec-", fontsize=9)
        page.text(0.2, 0.62, "ond electrode.", fontsize=9)
        ramp = np.linspace(0, 1, 64).reshape(8, 8)
        for left in (0.2, 0.52):
            panel = page.add_axes((left, 0.3, 0.28, 0.2))
            panel.imshow(ramp)
            panel.set_axis_off()
        page.text(0.35, 0.26, "图 4：上半年与下半年的对比", fontproperties=FontProperties(fname=str(FONTS[0].path)), fontsize=9)
        page.add_artist(Line2D([0.1, 0.9], [0.08, 0.08]))
        file = io.BytesIO()
        page.savefig(file, format="pdf")
        return file.getvalue()


@pytest.fixture(scope="module")
def found() -> list[Figure]:
    return list(figures(article(), FiguresConfig(dpi=100)))


def test_both_figures_are_found_with_number_and_caption(found):
    assert [(figure.page, figure.number, figure.caption) for figure in found] == [
        (1, "Figure 3", "Voltage over time, measured at the second electrode."),
        (1, "图 4", "上半年与下半年的对比"),
    ]


def test_a_plot_comes_with_its_axis_labels_and_without_body_text(found):
    plot = found[0]
    assert {"Time (s)", "Voltage (V)"} <= set(plot.labels)
    assert all("measured values" not in text for text in plot.labels)
    left, top, right, bottom = plot.box
    width, height = PAGE_PT
    assert 0.1 * width < left < 0.2 * width
    assert 0.78 * width < right < 0.85 * width
    assert 0.09 * height < top < 0.12 * height
    assert 0.31 * height < bottom < 0.36 * height


def test_panels_under_one_caption_are_one_figure(found):
    panels = found[1]
    assert panels.num_images == 2
    assert panels.box[2] - panels.box[0] > 0.55 * PAGE_PT[0]


def test_the_cut_has_the_resolution_asked_for_and_shows_the_region(found):
    for figure in found:
        left, top, right, bottom = figure.box
        assert figure.pixels.shape[1] == pytest.approx((right - left) * 100 / 72, abs=2)
        assert figure.pixels.shape[0] == pytest.approx((bottom - top) * 100 / 72, abs=2)
        assert figure.pixels.std() > 10
    fine = next(figures(article(), FiguresConfig(dpi=200)))
    assert fine.pixels.shape[0] == pytest.approx(2 * found[0].pixels.shape[0], abs=3)


def test_figures_without_caption_are_left_out_unless_wanted():
    with rc_context({"pdf.fonttype": 42}):
        page = Page(figsize=(6, 6))
        page.add_axes((0.2, 0.2, 0.6, 0.6)).plot([1, 2, 3])
        file = io.BytesIO()
        page.savefig(file, format="pdf")
    assert list(figures(file.getvalue(), FiguresConfig())) == []
    (loose,) = figures(file.getvalue(), FiguresConfig(needs_caption=False))
    assert (loose.number, loose.caption) == ("", "")


def test_a_page_of_text_has_no_figures():
    page = Page(figsize=(6, 6))
    page.text(0.1, 0.5, BODY)
    file = io.BytesIO()
    page.savefig(file, format="pdf")
    assert list(figures(file.getvalue(), FiguresConfig(needs_caption=False))) == []


def test_what_is_no_pdf_is_refused_by_name():
    with pytest.raises(ValueError, match="no readable PDF"):
        list(figures(b"not a PDF", FiguresConfig()))
