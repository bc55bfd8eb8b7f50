import base64
import io
from importlib.util import find_spec
from pathlib import Path

import lance
import pyarrow as pa
import pytest
from PIL import Image

from curation.captions.cache import Generation, RequestCache
from curation.captions.model_writer import ModelWriter, requests_of
from curation.captions.prompts.prompt import load_prompt, load_prompts
from curation.captions.vllm_answers import (
    VllmEngine,
    answer_missing,
    chat_of,
    keep_answers,
    missing_requests,
    processor_settings,
    require_vllm,
    stored_of,
)
from curation.tables import TableRef
from infra.errors import UserError

GENERATION = Generation(max_new_tokens=16, longest_px=28)
ENGINE = VllmEngine(replicas=2, gpus_per_replica=4, max_model_len=4096, batch_size=32, accelerator="H100")


def _png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (56, 28), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def writer(tmp_path: Path) -> ModelWriter:
    return ModelWriter(
        source="someone/Some-VL", model_digest="0123456789ab", prompts=("short_en", "short_zh"), batch_size=32, device="",
        generation=GENERATION, dtype="bfloat16", cache_root=str(tmp_path / "work"),
    )  # fmt: skip


@pytest.mark.slow  # importing ray.data.llm
def test_the_settings_make_a_processor_configuration(writer: ModelWriter) -> None:
    from ray.data.llm import vLLMEngineProcessorConfig

    config = vLLMEngineProcessorConfig(**processor_settings(writer, ENGINE))
    assert (config.model_source, config.batch_size, config.concurrency, config.accelerator_type) == (
        "someone/Some-VL",
        32,
        2,
        "H100",
    )
    assert config.engine_kwargs["tensor_parallel_size"] == 4
    assert config.engine_kwargs["max_model_len"] == 4096
    assert config.engine_kwargs["dtype"] == "bfloat16"
    assert config.should_continue_on_error
    stored = processor_settings(writer.model_copy(update={"dtype": "stored"}), ENGINE)
    assert "dtype" not in stored["engine_kwargs"]


def test_a_request_is_a_chat_with_the_picture_inside_and_greedy(writer: ModelWriter) -> None:
    row = chat_of({"key": "k", "png": _png("red"), "prompt": "what is it"}, GENERATION)
    picture, words = row["messages"][0]["content"]
    assert base64.b64decode(picture["image_url"]["url"].partition(",")[2]) == _png("red")
    assert words == {"type": "text", "text": "what is it"}
    assert row["sampling_params"] == {"temperature": 0.0, "repetition_penalty": 1.0, "max_tokens": 16}


def test_only_missing_requests_about_readable_pictures_are_sent_and_answers_kept(writer: ModelWriter, tmp_path: Path) -> None:
    pictures = [_png("red"), b"no picture", None, _png("blue")]
    uri = str(tmp_path / "images.lance")
    dataset = lance.write_dataset(pa.table({"image": pa.array(pictures, pa.large_binary())}), uri)
    ids = dataset.to_table(columns=[], with_row_id=True)["_rowid"]
    images, block = TableRef(uri=uri, version=dataset.version), pa.table({"row_id": ids})
    asked = missing_requests(block, images, writer)
    assert asked.num_rows == 4
    assert Image.open(io.BytesIO(asked["png"][0].as_py())).size == (28, 14)
    assert set(asked["prompt"].to_pylist()) == {load_prompt("short_en").text, load_prompt("short_zh").text}
    rows = [
        {"key": key, "generated_text": " red apple ", "num_generated_tokens": 3, "__inference_error__": ""}
        for key in asked["key"].to_pylist()
    ]
    rows[-1] |= {"__inference_error__": "CUDA out of memory", "generated_text": None, "num_generated_tokens": None}
    kept = keep_answers(pa.Table.from_pylist([stored_of(row, GENERATION) for row in rows]), writer)
    assert kept.to_pylist() == [{"num_kept": 3, "num_failed": 1}]
    assert missing_requests(block, images, writer)["key"].to_pylist() == asked["key"].to_pylist()[-1:]
    _, _, request = requests_of(writer, load_prompts(writer.prompts), pictures)[0]
    found = RequestCache(writer.cache_root).find(request)
    assert found is not None
    assert (found.text, found.num_tokens, found.is_cut) == ("red apple", 3, False)


def test_an_answer_of_full_length_counts_as_cut() -> None:
    assert stored_of({"key": "k", "generated_text": "x", "num_generated_tokens": 16}, GENERATION)["is_cut"]


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed here")
def test_without_vllm_one_line_says_what_to_do(writer: ModelWriter) -> None:
    with pytest.raises(UserError, match=r"vllm is not installed.*pip install 'ray\[llm\]'"):
        require_vllm()
    with pytest.raises(UserError, match="vllm is not installed"):
        list(answer_missing(TableRef(uri="x", version=1), [0], writer, ENGINE))
