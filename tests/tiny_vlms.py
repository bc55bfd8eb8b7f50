"""Vision-language models with random weights and MiniLM's words: real in every part, they write garbage, always the same."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from models.minilm import _weights_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }} {% for c in m['content'] %}{% if c['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
)
_ROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}


def write_qwen2_5_vl(folder: Path) -> Path:
    """4 M parameters, two layers of 64 channels, squares of 28 px."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor, Qwen2VLVideoProcessor
    from transformers.models.qwen2_vl import Qwen2VLImageProcessor

    tokenizer, ids = _tokenizer()
    images = Qwen2VLImageProcessor(patch_size=14, merge_size=2, min_pixels=28 * 28, max_pixels=28 * 28 * 16)
    Qwen2_5_VLProcessor(
        image_processor=images, tokenizer=tokenizer, video_processor=Qwen2VLVideoProcessor(), chat_template=_CHAT_TEMPLATE
    ).save_pretrained(folder)
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rope_parameters": _ROPE, "max_position_embeddings": 2048,
        "bos_token_id": ids["<|im_start|>"], "eos_token_id": ids["<|im_end|>"],
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "out_hidden_size": 64, "patch_size": 14,
        "spatial_merge_size": 2, "fullatt_block_indexes": [1], "window_size": 56,
    }  # fmt: skip
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **_marks(ids))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen2_5_VLForConditionalGeneration(config)
    assert model.generation_config is not None
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    return folder


def write_qwen3_vl(folder: Path) -> Path:
    """4 M parameters, two layers of 64 channels, squares of 32 px."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor, Qwen3VLVideoProcessor
    from transformers.models.qwen2_vl import Qwen2VLImageProcessor

    tokenizer, ids = _tokenizer()
    images = Qwen2VLImageProcessor(patch_size=16, merge_size=2, min_pixels=32 * 32, max_pixels=32 * 32 * 16)
    Qwen3VLProcessor(
        image_processor=images, tokenizer=tokenizer, video_processor=Qwen3VLVideoProcessor(), chat_template=_CHAT_TEMPLATE
    ).save_pretrained(folder)
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "rope_parameters": _ROPE,
        "max_position_embeddings": 2048,
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "out_hidden_size": 64, "patch_size": 16,
        "spatial_merge_size": 2, "deepstack_visual_indexes": [0, 1], "num_position_embeddings": 64,
    }  # fmt: skip
    config = Qwen3VLConfig(text_config=text, vision_config=vision, **_marks(ids))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        Qwen3VLForConditionalGeneration(config).save_pretrained(folder)
    return folder


def _tokenizer() -> tuple["PreTrainedTokenizerFast", dict[str, int]]:
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer.from_file(str(_weights_folder() / "tokenizer.json"))
    words.no_truncation()
    words.no_padding()
    words.post_processor = TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    marks = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", eos_token="<|im_end|>")
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    return tokenizer, {mark: tokenizer.get_vocab()[mark] for mark in marks}


def _marks(ids: dict[str, int]) -> dict[str, Any]:
    return {
        "image_token_id": ids["<|image_pad|>"], "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"], "vision_end_token_id": ids["<|vision_end|>"],
    }  # fmt: skip
