"""Vision-language models as caption writers: any that transformers knows, by folder or by name.

Weights come from a folder, or from the Hugging Face cache by name; nothing is downloaded. Decoding is greedy and generation
settings that a model brings along (temperature, repetition penalty) are switched off, so an answer is a function of weights,
picture, prompt and `max_new_tokens`. Prompts of a batch are padded on the left and masked, so that a picture's answer does not
depend on the pictures beside it (up to the rounding of the batched products, which can turn a tie between two tokens).

Chosen over a class per model family: processors with a chat template have made the families alike.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from jaxtyping import UInt8
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    PreTrainedModel,
    ProcessorMixin,
)
from transformers.utils.logging import disable_progress_bar

_WEIGHT_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
_CHUNK_BYTES = 1 << 22

_GREEDY = {
    "do_sample": False, "num_beams": 1, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "temperature": 1.0, "top_p": 1.0,
    "top_k": 50, "renormalize_logits": False,
}  # fmt: skip


class MissingCaptioner(ValueError):
    """The folder or name holds no vision-language model that can be loaded without a network."""


class Answer(NamedTuple):
    """What the model wrote."""

    text: str
    num_tokens: int
    """Generated tokens, the closing one included."""
    is_cut: bool
    """Ended by `max_new_tokens`, not by the model."""


class Captioner:
    """A model with its processor, ready to answer prompts about pictures."""

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin, *, digest: str) -> None:
        model.eval().requires_grad_(requires_grad=False)
        self.model = cast("Any", model)  # transformers types neither generation nor processors of a family
        self.processor = cast("Any", processor)
        self._tokenizer = self.processor.tokenizer
        self.digest = digest
        """Of the files the model was loaded from."""

    @classmethod
    def load(cls, source: str, *, device: str = "cpu", dtype: torch.dtype | None = None, digest: str = "") -> "Captioner":
        """The model in a folder or, by name, in the Hugging Face cache.

        Args:
            source: folder with config, weights (safetensors) and processor, or a name such as ``Qwen/Qwen3-VL-4B-Instruct``.
            dtype: of weights and computation; None takes the one the weights are stored in.
            digest: what `model_digest` gave for it, when it is known: spares reading all weights once more.

        Raises:
            MissingCaptioner: there is nothing to load.
        """
        folder = local_folder(source)
        disable_progress_bar()
        try:
            processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
            model = AutoModelForImageTextToText.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=dtype or "auto"
            )
        except (ValueError, OSError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise MissingCaptioner(f"no vision-language model can be loaded from {source}: {reason}") from error
        return cls(cast("Any", model).to(device), processor, digest=digest or model_digest(source))

    @torch.inference_mode()
    def write(
        self, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], prompts: Sequence[str], *, max_new_tokens: int
    ) -> list[Answer]:
        """Answers to one prompt a picture, all in one batch.

        Args:
            pictures: RGB, of any sizes.
            max_new_tokens: length at which an answer is cut.
        """
        if len(pictures) != len(prompts):
            raise ValueError(f"{len(pictures)} pictures and {len(prompts)} prompts, expected as many of one as of the other")
        if not pictures:
            return []
        inputs = self._inputs(pictures, prompts)
        generated = self.model.generate(**inputs, generation_config=self._generation(max_new_tokens))
        return [self._answer(tokens) for tokens in generated[:, inputs["input_ids"].shape[1] :].cpu()]

    def _inputs(self, pictures: Sequence[np.ndarray], prompts: Sequence[str]) -> dict[str, torch.Tensor]:
        texts = [self.processor.apply_chat_template(_conversation(prompt), add_generation_prompt=True) for prompt in prompts]
        images = [[Image.fromarray(picture)] for picture in pictures]
        starts_itself = self._tokenizer.bos_token is not None and texts[0].startswith(self._tokenizer.bos_token)
        added = {"add_special_tokens": False} if starts_itself else {}
        inputs = self.processor(text=texts, images=images, padding=True, padding_side="left", return_tensors="pt", **added)
        return {
            name: value.to(self.model.device, self.model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }

    def _generation(self, max_new_tokens: int) -> GenerationConfig:
        own = self.model.generation_config
        ends = self._ends()
        pad = own.pad_token_id if own.pad_token_id is not None else self._tokenizer.pad_token_id
        return GenerationConfig(
            **_GREEDY, max_new_tokens=max_new_tokens, eos_token_id=ends, pad_token_id=ends[0] if pad is None else pad,
            bos_token_id=own.bos_token_id,
        )  # fmt: skip

    def _ends(self) -> list[int]:
        """Tokens that close an answer."""
        own = self.model.generation_config
        ends = own.eos_token_id if own.eos_token_id is not None else self._tokenizer.eos_token_id
        return list(ends) if isinstance(ends, list | tuple) else [ends]

    def _answer(self, tokens: torch.Tensor) -> Answer:
        closing = torch.isin(tokens, torch.tensor(self._ends())).nonzero()
        is_cut = not len(closing)
        num_tokens = len(tokens) if is_cut else int(closing[0]) + 1
        text = self._tokenizer.decode(tokens[:num_tokens], skip_special_tokens=True)
        return Answer(text.strip(), num_tokens, is_cut)


def local_folder(source: str) -> Path:
    """The folder that holds the model: `source` itself, or its snapshot in the Hugging Face cache.

    Raises:
        MissingCaptioner: neither is there.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise MissingCaptioner(f"{folder} holds no config.json; give a folder that `save_pretrained` or `hf download` wrote")
        return folder
    if source.startswith(("/", ".", "~")) or source.count("/") > 1:
        raise MissingCaptioner(
            f"no folder {source}; give a folder with a vision-language model, or a name in the Hugging Face cache"
        )
    try:
        return Path(snapshot_download(source, local_files_only=True))
    except (LocalEntryNotFoundError, ValueError) as error:
        raise MissingCaptioner(
            f"{source} is neither a folder nor a model in the Hugging Face cache, and nothing is downloaded here; "
            f"fetch it first: hf download {source}"
        ) from error


def model_digest(source: str) -> str:
    """Twelve hex digits over the model's files: names and contents.

    A file of the Hugging Face cache that is stored under the SHA-256 of its content is not read again.

    Raises:
        MissingCaptioner: there is no model.
    """
    folder = local_folder(source)
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _WEIGHT_FILES for path in folder.glob(pattern)}):
        digest.update(f"{path.name}\0{_content_digest(path)}\0".encode())
    return digest.hexdigest()[:12]


def _content_digest(path: Path) -> str:
    stored = path.resolve().name
    if path.is_symlink() and len(stored) == 64 and set(stored) <= set("0123456789abcdef"):
        return stored
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _conversation(prompt: str) -> list[dict]:
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]
