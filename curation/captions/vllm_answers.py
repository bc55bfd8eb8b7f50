"""Answers in bulk by vLLM on a Ray cluster: the requests that are missing go through `ray.data.llm` and into the cache.

Columns are then filled from the cache by `model_writer` as ever, so checks, versions and refusals are the same, and a job that
was killed pays only for what had not come back. Decoding is greedy and without penalties, as in `models.perception.captioner`.
The two share answers, although rounding may turn a tie between two tokens the other way.
"""

import base64
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, Field

from curation.captions.cache import Generation, RequestCache, Stored
from curation.captions.model_writer import ModelWriter, png_of, requests_of
from curation.captions.prompts.prompt import load_prompts
from curation.tables import TableRef, open_table
from infra.errors import UserError

VllmRow = dict[str, Any]
"""A row, or a group of settings, in the form that `ray.data.llm` prescribes; values are of whatever type vLLM takes."""

BLOCK_ROWS = 64
"""Pictures whose requests are looked up by one task."""


class VllmEngine(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """How vLLM runs."""

    replicas: int = Field(gt=0)
    """Engines side by side."""
    gpus_per_replica: int = Field(gt=0)
    """Tensor parallelism within an engine."""
    max_model_len: int = Field(gt=0)
    """Tokens of prompt, picture and answer together."""
    batch_size: int = Field(gt=0)
    """Requests handed to an engine at once."""
    accelerator: str | None
    """Ray's name of the GPU, such as "H100"; None for any."""


def require_vllm() -> None:
    """Refuse to begin without vLLM.

    Raises:
        UserError: it is not installed.
    """
    if find_spec("vllm") is None:
        raise UserError(
            "vllm is not installed, and writer.kind=vllm needs it; pip install 'ray[llm]', or use writer.kind=transformers"
        )


def processor_settings(writer: ModelWriter, engine: VllmEngine) -> VllmRow:
    """Arguments of `ray.data.llm.vLLMEngineProcessorConfig`."""
    engine_kwargs: VllmRow = {
        "max_model_len": engine.max_model_len, "tensor_parallel_size": engine.gpus_per_replica,
        "limit_mm_per_prompt": {"image": 1}, "generation_config": "vllm", "seed": 0,
    }  # fmt: skip
    if writer.dtype != "stored":
        engine_kwargs["dtype"] = writer.dtype
    return {
        "model_source": writer.source, "engine_kwargs": engine_kwargs, "batch_size": engine.batch_size,
        "concurrency": engine.replicas, "accelerator_type": engine.accelerator, "should_continue_on_error": True,
        "prepare_multimodal_stage": {"enabled": True}, "runtime_env": {"env_vars": {"HF_HUB_OFFLINE": "1"}},
    }  # fmt: skip


def chat_of(row: VllmRow, generation: Generation) -> VllmRow:
    """A request (`key`, `png`, `prompt`) as the engine takes it."""
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(row['png']).decode()}"}}
    messages = [{"role": "user", "content": [picture, {"type": "text", "text": row["prompt"]}]}]
    sampling = {"temperature": 0.0, "repetition_penalty": 1.0, "max_tokens": generation.max_new_tokens}
    return {"key": row["key"], "messages": messages, "sampling_params": sampling}


def stored_of(row: VllmRow, generation: Generation) -> VllmRow:
    """An engine's row as the fields of `Stored`, and the `error` it came with ("" for none)."""
    num_tokens = int(row.get("num_generated_tokens") or 0)
    return {
        "key": row["key"], "text": (row.get("generated_text") or "").strip(), "num_tokens": num_tokens,
        "is_cut": num_tokens >= generation.max_new_tokens, "error": row.get("__inference_error__") or "",
    }  # fmt: skip


def missing_requests(block: pa.Table, images: TableRef, writer: ModelWriter) -> pa.Table:
    """Requests (`key`, `png`, `prompt`) about the pictures at `row_id` that the cache does not have."""
    wanted = f"_rowid IN ({','.join(map(str, block['row_id'].to_pylist()))})"
    encoded = open_table(images).to_table(columns=["image"], filter=wanted)["image"].to_pylist()
    cache, prompts = RequestCache(writer.cache_root), load_prompts(writer.prompts)
    found: dict[str, tuple[bytes, str]] = {}
    pngs: dict[int, bytes | None] = {}
    for row, prompt, request in requests_of(writer, prompts, encoded):
        if cache.find(request) is None:
            png = pngs.setdefault(row, png_of(encoded[row], writer.generation.longest_px))
            if png is not None:
                found[request.key] = (png, prompt.text)
    columns = {"key": list(found), "png": [png for png, _ in found.values()], "prompt": [prompt for _, prompt in found.values()]}
    return pa.table(columns, schema=_REQUESTS)


def keep_answers(block: pa.Table, writer: ModelWriter) -> pa.Table:
    """Put answers (`stored_of`) into the cache; gives how many were kept and how many had failed."""
    cache, lines = RequestCache(writer.cache_root), block.to_pylist()
    good = [line for line in lines if not line["error"]]
    for line in good:
        cache.keep(Stored(**{name: line[name] for name in Stored.model_fields}))
    return pa.table({"num_kept": [len(good)], "num_failed": [len(lines) - len(good)]})


def answer_missing(
    images: TableRef, row_ids: Sequence[int], writer: ModelWriter, engine: VllmEngine
) -> Iterator[tuple[int, int]]:
    """Compute all missing requests about these rows; gives (kept, failed) as blocks of answers come back. Ray must be up.

    Raises:
        UserError: vLLM is not installed.
    """
    require_vllm()
    import ray.data
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    processor = build_processor(
        vLLMEngineProcessorConfig(**processor_settings(writer, engine)),
        preprocess=lambda row: chat_of(row, writer.generation),
        postprocess=lambda row: stored_of(row, writer.generation),
    )
    rows = ray.data.from_arrow(pa.table({"row_id": pa.array(row_ids, pa.uint64())}))
    blocks = rows.repartition(target_num_rows_per_block=BLOCK_ROWS)
    look_up = partial(missing_requests, images=images, writer=writer)
    requests = blocks.map_batches(look_up, batch_size=BLOCK_ROWS, batch_format="pyarrow")
    keep = partial(keep_answers, writer=writer)
    kept = processor(requests).map_batches(keep, batch_size=engine.batch_size, batch_format="pyarrow")
    for line in kept.iter_rows():
        yield int(line["num_kept"]), int(line["num_failed"])


_REQUESTS = pa.schema([("key", pa.string()), ("png", pa.binary()), ("prompt", pa.string())])
