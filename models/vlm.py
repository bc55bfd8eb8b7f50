"""Texts and reference pictures as a frozen vision-language model sees them together: hidden states of several of its layers.

Any model of the kind that transformers knows (Qwen2.5-VL, Qwen3-VL and their like), by folder or by name in the Hugging Face
cache, through its own processor and chat template. Early layers say which words there are, late ones what is meant, so states of
several are concatenated, token by token (Playground v3 reads every layer: Liu et al. 2024, arXiv:2409.10695); the transformer
brings each to unit size and learns how to mix them (`DiTConfig.text_layers`). Nothing is downloaded, nothing in it is trained.

Marks of the model's own language in a prompt (``<|im_end|>``, ``<|image_pad|>``) are taken out: they would end the prompt or ask
for pictures that are not there.

b texts · t tokens of one text · k layers times hidden width · y, x pixels
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

import numpy as np
import torch
from annotated_types import Gt, MinLen
from jaxtyping import Float, Int
from PIL import Image
from pydantic import BaseModel
from torch import Tensor

from models.spelling import normalised

Positive = Annotated[int, Gt(0)]
Pictures = Sequence[Float[Tensor, "3 _ _"]]

_TEMPLATE_TOKENS = 48
"""Allowed for the chat template and its system prompt; those of Qwen's models take some 20 to 40."""


class VlmConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which model, and what of it is read."""

    kind: Literal["vlm"] = "vlm"
    model: str
    """Folder, or name in the Hugging Face cache; nothing is downloaded."""
    hidden_width: Positive
    """Channels of one of its hidden states."""
    layers: Annotated[tuple[int, ...], MinLen(1)]
    """Hidden states that are read: 0 is the embeddings, 1 the first layer's, -1 the last's."""
    max_text_tokens: Positive = 256
    """Where texts are cut."""
    picture_px: Positive = 384
    """Longest side at which it looks at pictures; smaller ones are not enlarged."""
    max_picture_tokens: Positive = 256
    """Most tokens of a picture at that size; a model that takes more is refused."""
    picture_states: Literal["kept", "dropped"] = "dropped"
    """Whether states of the pictures' own tokens are handed on beside those of the words, which have seen them."""
    dtype: Literal["stored", "bf16", "fp32"] = "stored"
    """Arithmetic of its weights."""
    digest: str = ""
    """Of the model's files; another model is refused. Empty for any; filled in when a training starts."""

    @property
    def width(self) -> int:
        """Channels of a state: all layers, one behind the other."""
        return self.hidden_width * len(self.layers)


class UnfitModel(ValueError):
    """The vision-language model is not the one that was configured."""


class VlmEncoder:
    """A frozen vision-language model; a `models.text.TextEncoder`."""

    def __init__(self, config: VlmConfig, model: torch.nn.Module, processor: object) -> None:
        """Take a model of transformers and its processor.

        Raises:
            UnfitModel: the hidden states are of another width, or there are not so many layers.
        """
        self.config = config
        self.model = cast("Any", model.eval().requires_grad_(requires_grad=False))  # transformers types none of a family
        self.processor = cast("Any", processor)
        text = self.model.config.get_text_config()
        if text.hidden_size != config.hidden_width:
            raise UnfitModel(f"hidden_width={config.hidden_width}, but {config.model} has {text.hidden_size}; make them equal")
        deepest = text.num_hidden_layers
        if any(not -deepest - 1 <= layer <= deepest for layer in config.layers):
            raise UnfitModel(f"layers={config.layers}, but {config.model} has hidden states 0 to {deepest}; choose among them")
        tokenizer = self.processor.tokenizer
        self._marks = sorted({*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}, key=len, reverse=True)

    @classmethod
    def load(cls, config: VlmConfig, *, device: torch.device | None = None) -> "VlmEncoder":
        """The model in a folder or in the Hugging Face cache, on a device; None for the CPU.

        Raises:
            MissingCaptioner: there is no such model at hand.
            UnfitModel: it is another than was configured.
        """
        from models.perception.captioner import Captioner, model_digest  # seconds of imports

        digest = model_digest(config.model) if config.digest else "any"
        if config.digest not in ("", digest):
            raise UnfitModel(f"{config.model} has digest {digest}, expected {config.digest}; give the model it was trained with")
        dtype = {"stored": None, "bf16": torch.bfloat16, "fp32": torch.float32}[config.dtype]
        found = Captioner.load(config.model, device=str(device or "cpu"), dtype=dtype, digest=digest)
        return cls(config, found.model, found.processor)

    @property
    def width(self) -> int:
        return self.config.width

    @property
    def max_tokens(self) -> int:
        return self.config.max_text_tokens + _TEMPLATE_TOKENS

    @torch.inference_mode()
    def encode(
        self, texts: Sequence[str], pictures: Sequence[Pictures] | None = None
    ) -> list[Float[Tensor, "t k"]]:
        """States of every text, of the words around it that the chat template puts, and of pictures where they are kept; fp32, on
        the CPU. A text without pictures has at most `max_tokens`.

        Args:
            pictures: those that each text refers to, in [-1, 1].

        Raises:
            UnfitModel: a picture takes more than `max_picture_tokens`.
        """
        shown: Sequence[Pictures] = [()] * len(texts) if pictures is None else pictures
        found: dict[int, Tensor] = {}
        for group in ([i for i, each in enumerate(shown) if not each], [i for i, each in enumerate(shown) if each]):
            if group:                                                # processors take pictures for all texts of a batch, or none
                states = self._states([texts[i] for i in group], [shown[i] for i in group])
                found.update(zip(group, states, strict=True))
        return [found[i] for i in range(len(texts))]

    def _states(self, texts: Sequence[str], pictures: Sequence[Pictures]) -> list[Float[Tensor, "t k"]]:
        inputs = self._inputs(texts, pictures)
        is_picture = self._is_picture(inputs["input_ids"])
        most = torch.tensor([self.config.max_picture_tokens * len(shown) for shown in pictures], device=is_picture.device)
        if bool((is_picture.sum(1) > most).any()):
            raise UnfitModel(
                f"pictures of {self.config.picture_px} px take more than max_picture_tokens={self.config.max_picture_tokens} in "
                f"{self.config.model}; lower picture_px, or raise max_picture_tokens"
            )
        hidden = self.model(**inputs, output_hidden_states=True, use_cache=False, logits_to_keep=1).hidden_states
        states = torch.cat([hidden[layer] for layer in self.config.layers], dim=-1).float()
        is_kept = inputs["attention_mask"].bool()
        if self.config.picture_states == "dropped":
            is_kept = is_kept & ~is_picture
        return [each[kept].cpu() for each, kept in zip(states, is_kept, strict=True)]

    def _inputs(self, texts: Sequence[str], pictures: Sequence[Pictures]) -> dict[str, Tensor]:
        template = self.processor.apply_chat_template
        asked = [template(_conversation(self._plain(text), len(own))) for text, own in zip(texts, pictures, strict=True)]
        images = [[self._image(picture) for picture in own] for own in pictures]
        inputs: Mapping[str, Tensor] = self.processor(
            text=asked, images=images if any(images) else None, padding=True, padding_side="right", return_tensors="pt"
        )
        return {
            name: value.to(self.model.device, self.model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }

    def _is_picture(self, ids: Int[Tensor, "b t"]) -> Tensor:
        token = getattr(self.model.config, "image_token_id", None)
        return torch.zeros_like(ids, dtype=torch.bool) if token is None else ids == token

    def _plain(self, text: str) -> str:
        """The text normalised, without the model's own marks, and cut."""
        for mark in self._marks:
            text = text.replace(mark, " ")
        text, tokenizer = normalised(text), self.processor.tokenizer
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        cut = tokens[: self.config.max_text_tokens]
        return text if len(cut) == len(tokens) else normalised(tokenizer.decode(cut))

    def _image(self, picture: Float[Tensor, "3 y x"]) -> Image.Image:
        levels = ((picture.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        image = Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())
        image.thumbnail((self.config.picture_px, self.config.picture_px), Image.Resampling.BICUBIC)
        return image


def most_tokens(
    config: VlmConfig, num_bytes: Int[np.ndarray, "*b"], num_pictures: Int[np.ndarray, "*b"]
) -> Int[np.ndarray, "*b"]:
    """Tokens of texts of so many UTF-8 bytes with so many pictures, estimated from above without reading them.

    Vocabularies of these models take at most one token for three bytes of prose in any script; runs of punctuation may take more.
    """
    words = np.minimum(config.max_text_tokens, 4 - (-num_bytes // 3)) + _TEMPLATE_TOKENS
    return words + config.max_picture_tokens * num_pictures if config.picture_states == "kept" else words


def _conversation(text: str, num_pictures: int) -> list[dict]:
    return [{"role": "user", "content": [*({"type": "image"} for _ in range(num_pictures)), {"type": "text", "text": text}]}]
