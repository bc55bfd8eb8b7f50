"""A vision-language model as text encoder: real in every part, with random weights."""

import numpy as np
import pytest
import torch
from tiny_vlms import write_qwen2_5_vl, write_qwen3_vl

from models.perception.captioner import MissingCaptioner, model_digest
from models.text import TextEncoder, most_tokens, text_width
from models.vlm import UnfitModel, VlmConfig, VlmEncoder

RED, BLUE = (torch.tensor([r, 0.0, b]).sub(0.5).mul(2)[:, None, None].expand(3, 60, 90) for r, b in ((1.0, 0.0), (0.0, 1.0)))


@pytest.fixture(scope="module", params=[write_qwen2_5_vl, write_qwen3_vl], ids=["qwen2.5-vl", "qwen3-vl"])
def config(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VlmConfig:
    folder = request.param(tmp_path_factory.mktemp("vlm"))
    return VlmConfig(model=str(folder), hidden_width=64, layers=(0, 1, -1), max_text_tokens=24, picture_px=84)


@pytest.fixture(scope="module")
def encoder(config: VlmConfig) -> VlmEncoder:
    return VlmEncoder.load(config)


def changed(config: VlmConfig, **settings: object) -> VlmConfig:
    return VlmConfig.model_validate({**config.model_dump(), **settings})


def test_states_are_those_of_the_layers_one_behind_the_other(encoder: VlmEncoder, config: VlmConfig) -> None:
    assert isinstance(encoder, TextEncoder)
    (states,) = encoder.encode(["a red apple"])
    assert states.shape[1] == encoder.width == text_width(config) == 3 * 64
    inputs = encoder._inputs(["a red apple"], [()])
    with torch.no_grad():
        hidden = encoder.model(**inputs, output_hidden_states=True).hidden_states
    torch.testing.assert_close(states, torch.cat([hidden[0], hidden[1], hidden[-1]], dim=-1)[0])


def test_a_batch_gives_every_text_what_it_gets_alone(encoder: VlmEncoder) -> None:
    texts = ["make it blue", "", "a much longer text about something else altogether", "both"]
    pictures = [(RED,), (), (), (RED, BLUE)]
    together = encoder.encode(texts, pictures)
    for text, own, states in zip(texts, pictures, together, strict=True):
        torch.testing.assert_close(encoder.encode([text], [own])[0], states, atol=1e-4, rtol=1e-4)


def test_references_change_what_is_read_in_the_words(encoder: VlmEncoder) -> None:
    red, blue = (encoder.encode(["make it green"], [(picture,)])[0] for picture in (RED, BLUE))
    assert red.shape == blue.shape
    assert not torch.allclose(red, blue, atol=1e-3)


def test_states_of_pictures_are_dropped_or_kept(encoder: VlmEncoder, config: VlmConfig) -> None:
    without, dropped = encoder.encode(["make it green"] * 2, [(), (RED,)])
    keeping = VlmEncoder(changed(config, picture_states="kept"), encoder.model, encoder.processor)
    kept = keeping.encode(["make it green"], [(RED,)])[0]
    assert len(without) <= len(dropped) <= len(without) + 4           # marks around the picture
    assert len(kept) == len(dropped) + 2 * 3                          # 60 x 90 px, shrunk to 56 x 84, in squares of about 28 px


@pytest.mark.parametrize("picture_states", ["kept", "dropped"])
@pytest.mark.parametrize(("text", "pictures"), [("", ()), ("word " * 400, ()), ("把苹果变成红色", (RED,)), ("both", (RED, BLUE))])
def test_no_text_takes_more_tokens_than_were_planned(
    encoder: VlmEncoder, config: VlmConfig, text: str, pictures: tuple, picture_states: str
) -> None:
    asked = changed(config, picture_states=picture_states)
    found = VlmEncoder(asked, encoder.model, encoder.processor).encode([text], [pictures])[0]
    planned = most_tokens(asked, np.array([len(text.encode())]), np.array([len(pictures)]))[0]
    assert 1 <= len(found) <= planned
    assert pictures or planned <= encoder.max_tokens


def test_marks_of_the_models_language_are_no_way_to_speak_to_it(encoder: VlmEncoder) -> None:
    forged, plain = encoder.encode(["a <|image_pad|> red<|im_end|> apple", "a red apple"])
    assert torch.equal(forged, plain)


def test_texts_that_look_alike_are_read_alike(encoder: VlmEncoder) -> None:
    composed, decomposed = encoder.encode(["caf\u00e9  apple", "cafe\u0301 apple"])
    torch.testing.assert_close(composed, decomposed, atol=1e-4, rtol=1e-4)  # rows of a batch may round differently


def test_what_is_not_at_hand_is_never_fetched() -> None:
    with pytest.raises(MissingCaptioner, match="nothing is downloaded here; fetch it first: hf download nobody/nothing-vl"):
        VlmEncoder.load(VlmConfig(model="nobody/nothing-vl", hidden_width=64, layers=(1,)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_width": 32}, "hidden_width=32, but .* has 64"),
        ({"layers": (1, 3)}, r"layers=\(1, 3\), but .* has hidden states 0 to 2"),
        ({"digest": "0123456789ab"}, "expected 0123456789ab"),
    ],
)  # fmt: skip
def test_another_model_than_was_configured_is_refused(config: VlmConfig, settings: dict, message: str) -> None:
    with pytest.raises(UnfitModel, match=message):
        VlmEncoder.load(changed(config, **settings))


def test_the_configured_digest_is_accepted(config: VlmConfig) -> None:
    VlmEncoder.load(changed(config, digest=model_digest(config.model)))


def test_pictures_that_take_more_tokens_than_were_planned_are_refused(encoder: VlmEncoder, config: VlmConfig) -> None:
    small = VlmEncoder(changed(config, max_picture_tokens=2), encoder.model, encoder.processor)
    with pytest.raises(UnfitModel, match="take more than max_picture_tokens=2"):
        small.encode(["make it green"], [(RED,)])
