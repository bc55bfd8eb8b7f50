import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curation.captions.cache import Generation
from curation.captions.model_writer import ModelCaptions, ModelWriter, model_signal
from curation.captions.prompts.prompt import load_prompt
from curation.signals.contract import Batch
from models.perception.captioner import model_digest

GOOD = {"short_en": "red apple on a table", "short_zh": "桌上的红苹果"}


def _png(colour: str, size: tuple[int, int] = (40, 20)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def _batch(*pictures: bytes | None) -> Batch:
    return Batch(pa.table({"image": pa.array(pictures, pa.large_binary())}), ())


class Asked:
    """Stands where a model would: answers by a rule and remembers what it was asked."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[tuple[int, ...], str]]] = []
        self.num_loads = 0

    def load(self) -> "Asked":
        self.num_loads += 1
        return self

    def __call__(self, pictures: Sequence[np.ndarray], prompts: Sequence[str]) -> list[tuple[str, int, bool]]:
        self.batches.append([(picture.shape, prompt) for picture, prompt in zip(pictures, prompts, strict=True)])
        texts = {load_prompt(prompt_id).text: text for prompt_id, text in GOOD.items()}
        return [
            (texts[prompt] if picture.mean() > 1 else "I cannot see it.", 5, False)
            for picture, prompt in zip(pictures, prompts, strict=True)
        ]


@pytest.fixture
def writer(tmp_path: Path) -> ModelWriter:
    return ModelWriter(
        source="someone/Some-VL", model_digest="0123456789ab", prompts=("short_en", "short_zh"), batch_size=3, device="cpu",
        generation=Generation(max_new_tokens=16, longest_px=28), dtype="stored", cache_root=str(tmp_path / "work"),
    )  # fmt: skip


def test_requests_go_out_in_batches_and_answers_come_back_to_their_pictures(writer: ModelWriter) -> None:
    asked = Asked()
    found = ModelCaptions(writer, asked.load)(_batch(_png("red"), _png("black"), _png("blue", (14, 7))))
    columns = writer.columns
    assert [len(batch) for batch in asked.batches] == [3, 3]
    assert asked.batches[0][0][0] == (14, 28, 3)  # reduced to longest_px, proportions kept
    assert asked.batches[1][1][0] == (7, 14, 3)  # never enlarged
    assert found[columns.en].to_pylist() == [[GOOD["short_en"], "", ""], ["", "", ""], [GOOD["short_en"], "", ""]]
    assert found[columns.zh].to_pylist()[0] == [GOOD["short_zh"], "", ""]
    refused = [json.loads(text) for text in found[columns.refused].to_pylist()[1]]
    assert [(one["language"], one["level"], one["text"]) for one in refused] == [
        ("en", "short", "I cannot see it."), ("zh", "short", "I cannot see it."),
    ]  # fmt: skip
    assert "refusing" in refused[0]["reasons"]
    assert found[columns.paid].to_pylist() == [2, 2, 2]


def test_nothing_is_paid_twice_and_the_model_not_even_loaded(writer: ModelWriter) -> None:
    asked = Asked()
    first = ModelCaptions(writer, asked.load)(_batch(_png("red")))
    again, other = Asked(), writer.model_copy(update={"batch_size": 1, "prompts": ("short_zh",)})
    second = ModelCaptions(other, again.load)(_batch(_png("red")))
    assert again.num_loads == 0
    assert second[other.columns.zh] == first[writer.columns.zh]
    assert second[other.columns.paid].to_pylist() == [0]
    newer = writer.model_copy(update={"model_digest": "ba9876543210"})
    ModelCaptions(newer, again.load)(_batch(_png("red")))
    assert again.num_loads == 1


def test_a_crash_costs_only_the_batch_under_way(writer: ModelWriter) -> None:
    class Crashing(Asked):
        def __call__(self, pictures: Sequence[np.ndarray], prompts: Sequence[str]) -> list[tuple[str, int, bool]]:
            if self.batches:
                raise MemoryError("out of memory")
            return super().__call__(pictures, prompts)

    pictures = [_png("red"), _png("green"), _png("blue")]
    with pytest.raises(MemoryError):
        ModelCaptions(writer, Crashing().load)(_batch(*pictures))
    after = Asked()
    ModelCaptions(writer, after.load)(_batch(*pictures))
    assert sum(map(len, after.batches)) == 3


def test_a_picture_that_cannot_be_read_is_refused_and_the_others_described(writer: ModelWriter) -> None:
    asked = Asked()
    found = ModelCaptions(writer, asked.load)(_batch(None, b"no picture", _png("red")))
    reasons = [
        {reason for text in texts for reason in json.loads(text)["reasons"]}
        for texts in found[writer.columns.refused].to_pylist()
    ]
    assert reasons == [{"unreadable"}, {"unreadable"}, set()]
    assert found[writer.columns.paid].to_pylist() == [0, 0, 2]
    assert sum(map(len, asked.batches)) == 2


def test_the_version_tells_what_decides_a_caption_and_nothing_else(writer: ModelWriter) -> None:
    def version(**changes: object) -> str:
        return writer.model_copy(update=changes).version

    assert version(batch_size=9, device="cuda", cache_root="elsewhere", source="/copy") == writer.version
    assert version(prompts=("short_zh", "short_en")) == writer.version
    others = {
        version(model_digest="x"),
        version(prompts=("short_en",)),
        version(generation=Generation(max_new_tokens=9, longest_px=28)),
    }
    assert len(others | {writer.version}) == 4


def test_the_signal_fills_the_writers_columns(writer: ModelWriter) -> None:
    signal = model_signal(writer)
    assert signal.version_column == writer.columns.version
    assert set(writer.columns) == {*signal.outputs.names, signal.version_column}


def test_a_real_model_writes_through_the_signal_and_its_garbage_is_set_aside(writer: ModelWriter, tiny_vlm: Path) -> None:
    real = writer.model_copy(update={"source": str(tiny_vlm), "model_digest": model_digest(str(tiny_vlm))})
    found = model_signal(real).build()(_batch(_png("red", (56, 56)), _png("blue", (84, 56))))
    kept = [text for texts in found[real.columns.en].to_pylist() + found[real.columns.zh].to_pylist() for text in texts if text]
    refused = [json.loads(text) for texts in found[real.columns.refused].to_pylist() for text in texts]
    assert len(kept) + len(refused) == 4
    assert {one["language"] for one in refused} >= {"zh"}  # English words are no Chinese caption
    assert found[real.columns.paid].to_pylist() == [2, 2]
    again = model_signal(real).build()(_batch(_png("blue", (84, 56)), _png("red", (56, 56))))
    assert again[real.columns.refused].to_pylist() == found[real.columns.refused].to_pylist()[::-1]
    assert again[real.columns.paid].to_pylist() == [0, 0]


def test_an_engine_that_gave_no_answer_costs_the_row(writer: ModelWriter) -> None:
    with pytest.raises(LookupError, match="gave no answer"):
        model_signal(writer.model_copy(update={"device": ""})).build()(_batch(_png("red")))
