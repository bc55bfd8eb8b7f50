"""What every generator promises: the same picture for the same key, captions at three levels in two languages, boxes inside."""

import hashlib
import json
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import yaml
from PIL import Image

from curation.knowledge.kinds import KINDS, TEXT_KINDS, KnowledgeKind, draw
from curation.knowledge.sample import KnowledgeSample, Truth
from infra.settings import CODE_ROOT

SHOWN = 12


@cache
def leaves() -> set[str]:
    files = sorted((CODE_ROOT / "curation" / "taxonomies").glob("[a-z]*.yaml"))
    return {leaf["id"] for file in files for leaf in (yaml.safe_load(file.read_text(encoding="utf-8")).get("leaves") or ())}


def fingerprint(sample: KnowledgeSample) -> str:
    return hashlib.sha256(sample.png() + sample.truth.model_dump_json().encode()).hexdigest()


@pytest.fixture(scope="module", params=KINDS)
def samples(request) -> list[KnowledgeSample]:
    return [draw(request.param, 3, index) for index in range(SHOWN)]


def test_pictures_differ_from_each_other_and_vary_in_size(samples):
    assert len({sample.png() for sample in samples}) == SHOWN
    assert len({sample.pixels.shape for sample in samples}) > 1


def test_png_holds_the_pixels(samples, tmp_path):
    (tmp_path / "picture.png").write_bytes(samples[0].png())
    assert np.array_equal(np.asarray(Image.open(tmp_path / "picture.png")), samples[0].pixels)


def test_captions_are_three_growing_levels_in_both_languages(samples):
    for sample in samples:
        for captions in (sample.captions_en, sample.captions_zh):
            assert all(caption.strip() == caption != "" for caption in captions)
            assert len(captions.short) <= len(captions.medium) <= len(captions.long)
        assert sample.captions_en.long.endswith((".", "."))
        assert sample.captions_zh.long.endswith("。")
        assert any("\u4e00" <= character <= "\u9fff" for character in sample.captions_zh.short + sample.captions_zh.medium)


def test_captions_have_no_doubled_words_or_loose_punctuation(samples):
    for sample in samples:
        drawn = [element.text for element in sample.truth.elements]
        caption = sample.captions_en.long
        for text in drawn:
            caption = caption.replace(text, "X")
        assert "  " not in caption, sample.captions_en.long
        assert " ," not in caption, sample.captions_en.long
        assert " a a" not in caption, sample.captions_en.long


def test_boxes_lie_inside_the_picture(samples):
    for sample in samples:
        height, width = sample.pixels.shape[:2]
        for element in sample.truth.elements:
            left, top, right, bottom = element.box
            assert -1 <= left < right <= width + 1, (sample.id, element)
            assert -1 <= top < bottom <= height + 1, (sample.id, element)


def test_every_text_is_drawn_with_contrast_in_its_box(samples):
    for sample in samples:
        for element in sample.truth.elements:
            if element.kind in ("text", "formula"):
                left, top, right, bottom = (max(0, round(value)) for value in element.box)
                patch = sample.pixels[top:bottom, left:right].astype(float).mean(axis=2)
                assert patch.max() - patch.min() > 50, (sample.id, element)


def test_load_and_provenance_are_stated(samples):
    for sample in samples:
        assert (sample.load.height_px, sample.load.width_px) == sample.pixels.shape[:2]
        assert sample.load.num_elements >= 1
        assert all((sample.licence, sample.attribution, sample.concept))
        assert sample.leaf in leaves()


def test_truth_survives_json(samples):
    for sample in samples:
        assert Truth.model_validate_json(sample.truth.model_dump_json()) == sample.truth
        assert json.loads(sample.truth.model_dump_json())["elements"]


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_captions_quote_the_exact_texts(kind: KnowledgeKind):
    for index in range(SHOWN):
        sample = draw(kind, 5, index)
        for element in sample.truth.elements:
            assert element.text in sample.captions_en.long, sample.id
            assert element.text in sample.captions_zh.long, sample.id


def test_another_process_draws_the_same_pictures():
    code = (
        "import hashlib; from curation.knowledge.kinds import KINDS, draw; "
        "samples = [draw(kind, 11, 2) for kind in KINDS]; "
        "print(*[hashlib.sha256(sample.png() + sample.truth.model_dump_json().encode()).hexdigest() for sample in samples])"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=CODE_ROOT, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert finished.stdout.split() == [fingerprint(draw(kind, 11, 2)) for kind in KINDS]
