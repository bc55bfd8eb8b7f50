"""Encoders by their configuration."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_text import TINY, tiny_encoder, write_text_bundle

from models.bundle import load_tensors
from models.minilm import MINILM
from models.text import WEIGHTS, TextEncoder, TextEncoderConfig, build, carries_weights, most_tokens, text_width

PRETRAINED = Path(__file__).parents[2] / "models" / "pretrained" / "generator"


@pytest.mark.parametrize("config", [MINILM, TINY])
def test_widths_and_limits_are_known_before_anything_is_loaded(config: TextEncoderConfig) -> None:
    encoder = build(config, tiny_encoder().state_dict() if carries_weights(config) else None)
    assert isinstance(encoder, TextEncoder)
    states = encoder.encode(["a red apple", "", "word " * 400])
    assert {each.shape[1] for each in states} == {encoder.width} == {text_width(config)}
    assert 1 <= len(states[1]) < len(states[0]) < len(states[2]) == encoder.max_tokens
    assert int(most_tokens(config, np.array([2000]), np.array([0]))[0]) == encoder.max_tokens


def test_weights_of_a_bundle_make_the_same_encoder_and_nothing_in_it_learns(tmp_path: Path) -> None:
    write_text_bundle(tmp_path / "text")
    loaded = build(TINY, load_tensors(tmp_path / "text", WEIGHTS))
    for ours, theirs in zip(loaded.encode(["make it red", "苹果"]), tiny_encoder().encode(["make it red", "苹果"]), strict=True):
        assert torch.equal(ours, theirs)
    assert isinstance(loaded, torch.nn.Module)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
