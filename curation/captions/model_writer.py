"""Captions by a vision-language model, as a signal: requests looked up, the missing ones computed in batches, answers checked.

The model is loaded when the first request is missing, so a run whose answers are all known needs neither weights nor a GPU.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from PIL import Image
from pydantic import BaseModel, Field

from curation.captions.answers import Described, described, unreadable
from curation.captions.cache import Generation, Request, RequestCache, Stored
from curation.captions.checks import VERSION as CHECKS_VERSION
from curation.captions.columns import CaptionColumns, caption_columns, caption_schema, caption_set
from curation.captions.prompts.prompt import Prompt, digest_of_prompts, load_prompts
from curation.decode import Undecodable, decode_scaled
from curation.signals.contract import Batch, Compute, Signal, version_of

ROW_TIMEOUT_S = 900.0
"""A picture with all its prompts on a slow CPU stays below; a hang does not."""


class ModelWriter(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which model writes, what it is asked, and where answers are kept."""

    source: str
    """Folder, or name in the Hugging Face cache."""
    model_digest: str
    """From `models.perception.captioner.model_digest`."""
    prompts: tuple[str, ...] = Field(min_length=1)
    """Ids of prompts."""
    generation: Generation
    """How answers are generated."""
    batch_size: int = Field(gt=0)
    """Requests the model is given at once."""
    device: Literal["cpu", "cuda", ""]
    """Where the model runs; "" when all answers are in the cache by now, and a missing one is the row's fault."""
    dtype: Literal["stored", "float32", "bfloat16"]
    """Of weights and computation; "stored" as the weights are."""
    cache_root: str
    """Workspace whose answers are read and added to."""

    @property
    def columns(self) -> CaptionColumns:
        """Where the captions go."""
        return caption_columns(caption_set(self.source, digest_of_prompts(load_prompts(self.prompts))))

    @property
    def version(self) -> str:
        """Digest of everything that decides a caption; batches, devices and places do not."""
        prompts = sorted(prompt.digest for prompt in load_prompts(self.prompts))
        return version_of(
            model=self.model_digest, prompts=prompts, generation=self.generation.model_dump(), checks=CHECKS_VERSION
        )


Answering = Callable[[Sequence[np.ndarray], Sequence[str]], Sequence[tuple[str, int, bool]]]
"""What is needed of a model: for each picture (RGB, "y x 3") with its prompt the text, the tokens, whether it was cut."""


class Missing(NamedTuple):
    """A request that has to be computed."""

    row: int
    """Index of the picture in its batch."""
    prompt: Prompt
    request: Request


def model_signal(writer: ModelWriter) -> Signal:
    """The signal that fills the writer's columns."""
    columns = writer.columns
    return Signal(
        name=columns.version.removesuffix("_version"), version=writer.version, inputs=("image",), outputs=caption_schema(columns),
        build=partial(_build, writer), batch_rows=max(writer.batch_size, 8), row_timeout_s=ROW_TIMEOUT_S,
    )  # fmt: skip


class ModelCaptions:
    """Fills a writer's columns for batches of rows that have the column `image`."""

    def __init__(self, writer: ModelWriter, load: Callable[[], Answering]) -> None:
        self._writer, self._load = writer, load
        self._prompts = load_prompts(writer.prompts)
        self._answering: Answering | None = None
        self.cache = RequestCache(writer.cache_root)

    def __call__(self, batch: Batch) -> dict[str, pa.Array]:
        """The columns; a picture that cannot be read has none of them but the refusal that says so."""
        encoded = batch.rows["image"].to_pylist()
        answers, missing = self._known(encoded)
        pictures = {row: _seen(encoded[row], self._writer.generation.longest_px) for row in sorted({one.row for one in missing})}
        blind = {row for row, picture in pictures.items() if picture is None} | {
            row for row, one in enumerate(encoded) if one is None
        }
        paid = self._pay([one for one in missing if one.row not in blind], pictures, answers)
        found = [
            unreadable() if row in blind else described(self._prompts, [answers[row][prompt.id] for prompt in self._prompts])
            for row in range(len(encoded))
        ]
        return _as_columns(self._writer.columns, found, paid)

    def _known(self, encoded: Sequence[bytes | None]) -> tuple[list[dict[str, str]], list[Missing]]:
        answers: list[dict[str, str]] = [{} for _ in encoded]
        missing = []
        for row, prompt, request in requests_of(self._writer, self._prompts, encoded):
            stored = self.cache.find(request)
            if stored is None:
                missing.append(Missing(row, prompt, request))
            else:
                answers[row][prompt.id] = stored.text
        return answers, missing

    def _pay(self, missing: Sequence[Missing], pictures: dict, answers: list[dict[str, str]]) -> list[int]:
        """Compute and keep what is missing, batch by batch; how many requests each row cost."""
        paid = [0] * len(answers)
        for start in range(0, len(missing), self._writer.batch_size):
            part = missing[start : start + self._writer.batch_size]
            written = self._model()([pictures[one.row] for one in part], [one.prompt.text for one in part])
            for one, (text, num_tokens, is_cut) in zip(part, written, strict=True):
                self.cache.keep(Stored(key=one.request.key, text=text, num_tokens=num_tokens, is_cut=is_cut))
                answers[one.row][one.prompt.id] = text
                paid[one.row] += 1
        return paid

    def _model(self) -> Answering:
        if self._answering is None:
            self._answering = self._load()
        return self._answering


def requests_of(
    writer: ModelWriter, prompts: Sequence[Prompt], encoded: Sequence[bytes | None]
) -> list[tuple[int, Prompt, Request]]:
    """Every request about the pictures, with the index of its picture; none about a missing one."""
    found = []
    for row, one in enumerate(encoded):
        if one is not None:
            picture = hashlib.sha256(one).hexdigest()
            found += [
                (row, prompt, Request(picture, prompt.digest, writer.model_digest, writer.generation)) for prompt in prompts
            ]
    return found


def _seen(encoded: bytes | None, longest_px: int) -> UInt8[np.ndarray, "y x 3"] | None:
    """The picture on white, its longer side at most `longest_px`; None when it cannot be read."""
    if encoded is None:
        return None
    try:
        pixels = decode_scaled(encoded, longest_px).pixels
    except Undecodable:
        return None
    image = Image.fromarray(pixels)
    image.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
    return np.asarray(image)


def png_of(encoded: bytes | None, longest_px: int) -> bytes | None:
    """What the model is shown, as PNG, for engines that take files; None when it cannot be read."""
    seen = _seen(encoded, longest_px)
    if seen is None:
        return None
    buffer = BytesIO()
    Image.fromarray(seen).save(buffer, "PNG")
    return buffer.getvalue()


def _as_columns(columns: CaptionColumns, found: Sequence[Described], paid: Sequence[int]) -> dict[str, pa.Array]:
    values: dict[str, list] = defaultdict(list)
    for one, num_paid in zip(found, paid, strict=True):
        values[columns.en].append(one.captions_en)
        values[columns.zh].append(one.captions_zh)
        values[columns.refused].append([refused.model_dump_json() for refused in one.refused])
        values[columns.kind].append(one.kind)
        values[columns.style].append(one.style)
        values[columns.watermarks].append(list(one.watermarks))
        values[columns.abnormal].append(one.is_abnormal)
        values[columns.paid].append(num_paid)
    schema = caption_schema(columns)
    return {name: pa.array(values[name], schema.field(name).type) for name in schema.names}


def _build(writer: ModelWriter) -> Compute:
    return ModelCaptions(writer, partial(_loaded, writer) if writer.device else _nobody)


def _nobody() -> Answering:
    raise LookupError("the engine gave no answer to a request about this picture")


def _loaded(writer: ModelWriter) -> Answering:
    import torch

    from models.perception.captioner import Captioner  # heavy: only workers that compute need torch and the weights

    dtype = None if writer.dtype == "stored" else getattr(torch, writer.dtype)
    captioner = Captioner.load(writer.source, device=writer.device, dtype=dtype, digest=writer.model_digest)
    return partial(captioner.write, max_new_tokens=writer.generation.max_new_tokens)
