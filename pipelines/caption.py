"""Caption: three levels of detail in two languages for every picture, by one of three writers.

* structured: from the facts a row came with. No model, so captions are true as far as the facts are, and cost microseconds.
* transformers: any vision-language model whose weights are at hand, in this job's workers.
* vllm: the same prompts, through `ray.data.llm` on a cluster with GPUs.

Each writer and each set of prompts has columns of its own (`curation.captions.columns`); answers of models are kept and never
asked for twice. The texts that rows came with are measured by `seedbed curate`, like the pictures.
"""

from collections import Counter
from functools import partial
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import BaseModel, Field

from curation import commit
from curation.backfill import Backfilled, Rows
from curation.captions.answers import Refused
from curation.captions.cache import Generation
from curation.captions.checks import opens_with_boilerplate
from curation.captions.columns import CaptionColumns, caption_columns
from curation.captions.model_writer import ModelWriter, model_signal
from curation.captions.structured import CAPTION
from curation.captions.vllm_answers import VllmEngine, answer_missing, require_vllm
from curation.signals.contract import Signal
from curation.tables import TableRef, open_table, pin, pin_rows
from curation.workers import Actors, Tasks
from infra.session import Session
from infra.tracking import Run
from pipelines.columns import costs, fill
from pipelines.job import Outcome, Work, run_job


class StructuredWriter(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Captions from facts."""

    kind: Literal["structured"] = "structured"


class TransformersWriter(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Captions by a model in this job's workers, one model each."""

    kind: Literal["transformers"] = "transformers"
    model: str
    """Folder, or name in the Hugging Face cache; nothing is downloaded."""
    prompts: tuple[str, ...] = Field(min_length=1)
    """Ids of prompts, files of `curation/captions/prompts`."""
    generation: Generation
    """How answers are generated."""
    batch_size: int = Field(gt=0)
    """Requests the model is given at once."""
    device: Literal["cpu", "cuda"]
    """Where the models run."""
    dtype: Literal["stored", "float32", "bfloat16"]
    """Of weights and computation."""


class VllmWriter(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Captions by a model that vLLM serves inside the cluster."""

    kind: Literal["vllm"] = "vllm"
    model: str
    """Folder that every node sees, or name in the Hugging Face cache."""
    prompts: tuple[str, ...] = Field(min_length=1)
    """Ids of prompts, files of `curation/captions/prompts`."""
    generation: Generation
    """How answers are generated."""
    dtype: Literal["stored", "float32", "bfloat16"]
    """Of weights and computation."""
    engine: VllmEngine
    """How vLLM runs."""


Writer = Annotated[StructuredWriter | TransformersWriter | VllmWriter, Field(discriminator="kind")]


class CaptionConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which pictures are described, and by whom."""

    images: TableRef
    """The table of pictures; its version names the rows."""
    writer: Writer = StructuredWriter()
    """Who writes."""
    rows: Literal["all", "kept"] = "all"
    """"kept" leaves out what `curate` dropped or set aside: a model's time is dear."""
    workers: int = Field(gt=0)
    """Workers that write captions at the same time; each holds the model, if there is one."""
    caption_version: str = ""
    """Digest of what decides the captions; filled in when the job starts, so that changed captions are another job."""


def run(config: CaptionConfig, session: Session) -> Outcome:
    """Fill the writer's columns; outputs `images`, its `version` and `captions`, the column of the English ones.

    Raises:
        UserError: a prompt is missing or two collide, or vLLM is not installed.
        MissingCaptioner: the model is nowhere.
    """
    writer = _model_writer(config.writer, session)
    version = CAPTION.version if writer is None else writer.version
    filled_in = {"images": pin_rows(config.images).model_dump(), "caption_version": version}
    resolved = CaptionConfig.model_validate({**config.model_dump(), **filled_in})
    return run_job("caption", resolved, session, partial(_caption, resolved, session, writer))


def _model_writer(config: Writer, session: Session) -> ModelWriter | None:
    """The model behind a writer, its digest taken from its files; None when there is none."""
    if isinstance(config, StructuredWriter):
        return None
    if isinstance(config, VllmWriter):
        require_vllm()
    from models.perception.captioner import model_digest  # heavy: imports transformers

    return ModelWriter(
        source=config.model, model_digest=model_digest(config.model), prompts=config.prompts, generation=config.generation,
        batch_size=config.engine.batch_size if isinstance(config, VllmWriter) else config.batch_size,
        device="" if isinstance(config, VllmWriter) else config.device, dtype=config.dtype, cache_root=session.workspace.root,
    )  # fmt: skip


def _signal(writer: ModelWriter | None) -> Signal:
    return CAPTION if writer is None else model_signal(writer)


def _caption(config: CaptionConfig, session: Session, writer: ModelWriter | None, run: Run) -> Work:
    limits = Rows(where="verdict = 'kept'" if config.rows == "kept" else None)
    paid_before = _num_paid(config.images, writer)
    num_answered = _answer_by_vllm(config, session, writer, limits)
    workers = Tasks(config.workers) if writer is None else Actors(config.workers)
    done = fill("caption", session, config.images, [_signal(writer)], rows=limits, workers=workers)
    columns = caption_columns() if writer is None else writer.columns
    paid = num_answered + _num_paid(done.table, writer) - paid_before
    refused = _refusals(done.table, columns)
    num_rows = open_table(config.images).count_rows()
    run.log_table(done.table.uri, commit.version_of(done.table), "output")
    return Work(
        rows_in=num_rows,
        rows_out=done.num_rows,
        quarantined=done.num_failed,
        outputs={"images": done.table.uri, "version": str(done.table.version), "captions": columns.en},
        metrics={**_metrics(done, writer, paid), **refused, **costs(done, "caption")},
        note=_note(done, num_rows, columns, refused),
    )


def _answer_by_vllm(config: CaptionConfig, session: Session, writer: ModelWriter | None, limits: Rows) -> int:
    """Let vLLM answer what is missing, when it is the writer; gives how many answers were paid for."""
    if writer is None or not isinstance(config.writer, VllmWriter):
        return 0
    row_ids = commit.rows_of(config.images, ["id"], where=limits.where)["_rowid"].to_pylist()
    session.start_ray()
    num_kept = 0
    with session.progress.stage("caption: answers", total=None, unit="requests") as bar:
        for kept, _ in answer_missing(pin(config.images), row_ids, writer, config.writer.engine):
            num_kept += kept
            bar.advance(kept)
    return num_kept


def _num_paid(images: TableRef, writer: ModelWriter | None) -> int:
    """Requests that were computed for the rows that have this writer's captions."""
    if writer is None:
        return 0
    columns, dataset = writer.columns, open_table(pin(TableRef(uri=images.uri)))
    if columns.paid not in dataset.schema.names:
        return 0
    where = f"{columns.version} = '{writer.version}' AND {columns.paid} > 0"
    batches = dataset.scanner(columns=[columns.paid], filter=where).to_batches()
    return sum(sum(batch[columns.paid].to_pylist()) for batch in batches)


def _refusals(images: TableRef, columns: CaptionColumns) -> dict[str, float]:
    """Texts by the first reason for which they were refused, and the share of captions that open with "The image shows"."""
    counts: Counter[str] = Counter()
    num_captions = num_boilerplate = 0
    for batch in open_table(images).scanner(columns=[columns.en, columns.zh, columns.refused]).to_batches():
        counts.update(Refused.model_validate_json(text).reasons[0] for text in _flat(batch[columns.refused]))
        for name in (columns.en, columns.zh):
            texts = [text for text in _flat(batch[name]) if text]
            num_captions += len(texts)
            num_boilerplate += sum(map(opens_with_boilerplate, texts))
    found = {f"caption/refused_{reason}_texts": float(num) for reason, num in sorted(counts.items())}
    return {**found, "caption/boilerplate_share": num_boilerplate / max(num_captions, 1)}


def _flat(lists: pa.ListArray) -> list[str]:
    return lists.flatten().to_pylist()


def _metrics(done: Backfilled, writer: ModelWriter | None, paid: int) -> dict[str, float]:
    captioned = {"caption/captioned_images": float(done.num_rows)}
    if writer is None:
        return captioned
    num_requests = done.num_rows * len(writer.prompts)
    return {
        **captioned, "caption/requests": num_requests, "caption/paid_requests": paid,
        "caption/cached_requests": max(0, num_requests - paid),
    }  # fmt: skip


def _note(done: Backfilled, num_rows: int, columns: CaptionColumns, refused: dict[str, float]) -> str:
    num_refused = sum(value for name, value in refused.items() if name.startswith("caption/refused_"))
    said = f", {num_refused:,.0f} texts refused" if num_refused else ""
    return f"captioned {done.num_rows:,} of {num_rows:,} pictures in English and Chinese ({columns.en}){said}"
