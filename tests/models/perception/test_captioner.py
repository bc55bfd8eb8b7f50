from pathlib import Path

import numpy as np
import pytest
import torch

from models.perception.captioner import Captioner, MissingCaptioner, local_folder, model_digest

PROMPTS = ("what is this", "describe the picture in one long sentence that says where everything is", "name")


@pytest.fixture(scope="module")
def captioner(tiny_vlm: Path) -> Captioner:
    return Captioner.load(str(tiny_vlm))


@pytest.fixture
def pictures() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 255, shape, dtype=np.uint8) for shape in ((56, 84, 3), (100, 60, 3), (30, 30, 3))]


def test_an_answer_does_not_depend_on_the_pictures_beside_it(captioner: Captioner, pictures: list[np.ndarray]) -> None:
    together = captioner.write(pictures, PROMPTS, max_new_tokens=12)
    alone = [
        captioner.write([picture], [prompt], max_new_tokens=12)[0] for picture, prompt in zip(pictures, PROMPTS, strict=True)
    ]
    assert together == alone
    assert len({answer.text for answer in together}) == 3
    assert captioner.write(pictures, PROMPTS, max_new_tokens=12) == together


def test_an_answer_depends_on_picture_and_prompt(captioner: Captioner, pictures: list[np.ndarray]) -> None:
    first, other_picture = captioner.write([pictures[0], pictures[1]], [PROMPTS[0]] * 2, max_new_tokens=8)
    (other_prompt,) = captioner.write([pictures[0]], [PROMPTS[1]], max_new_tokens=8)
    assert len({first.text, other_picture.text, other_prompt.text}) == 3


def test_answers_end_at_the_limit_or_at_the_closing_token(
    captioner: Captioner, pictures: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cut,) = captioner.write(pictures[:1], PROMPTS[:1], max_new_tokens=6)
    assert (cut.num_tokens, cut.is_cut) == (6, True)
    inputs = captioner._inputs(pictures[:1], PROMPTS[:1])
    third = int(captioner.model.generate(**inputs, generation_config=captioner._generation(6))[0, -4])
    monkeypatch.setattr(captioner.model.generation_config, "eos_token_id", [third])
    ended, longer = captioner.write(pictures[:2], PROMPTS[:2], max_new_tokens=6)
    assert (ended.num_tokens, ended.is_cut) == (3, False)
    assert cut.text.startswith(ended.text)
    assert longer.num_tokens == 6


def test_settings_that_a_model_brings_along_do_not_change_answers(
    captioner: Captioner, pictures: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = captioner.write(pictures, PROMPTS, max_new_tokens=8)
    for name, value in (("do_sample", True), ("temperature", 5.0), ("repetition_penalty", 3.0), ("top_k", 3)):
        monkeypatch.setattr(captioner.model.generation_config, name, value)
    assert captioner.write(pictures, PROMPTS, max_new_tokens=8) == plain


def test_nothing_to_write_and_uneven_requests(captioner: Captioner, pictures: list[np.ndarray]) -> None:
    assert captioner.write([], [], max_new_tokens=4) == []
    with pytest.raises(ValueError, match="3 pictures and 1 prompts"):
        captioner.write(pictures, PROMPTS[:1], max_new_tokens=4)


def test_the_digest_tells_other_weights_and_nothing_else(captioner: Captioner, tiny_vlm: Path, tmp_path: Path) -> None:
    for file in tiny_vlm.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "README.md").write_text("no part of the model")
    assert model_digest(str(tmp_path)) == captioner.digest == model_digest(str(tiny_vlm))
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    assert model_digest(str(tmp_path)) != captioner.digest


def test_a_cached_file_named_by_its_content_is_not_read_again(tmp_path: Path) -> None:
    def digest(blob_name: str, content: bytes) -> str:
        folder = tmp_path / blob_name[:4]
        folder.mkdir()
        (folder / blob_name).write_bytes(content)
        for name in ("config.json", "model.safetensors"):
            (folder / name).symlink_to(folder / blob_name)
        return model_digest(str(folder))

    assert digest("ab" * 32, b"x") != digest("cd" * 32, b"x")


def test_computation_can_be_in_another_type(tiny_vlm: Path, pictures: list[np.ndarray]) -> None:
    half = Captioner.load(str(tiny_vlm), dtype=torch.bfloat16, digest="known")
    assert half.model.dtype == torch.bfloat16
    assert half.digest == "known"
    assert half.write(pictures[:1], PROMPTS[:1], max_new_tokens=3)[0].num_tokens == 3


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/nowhere/model", "no folder /nowhere/model"),
        ("someone/no-such-model", "fetch it first: hf download someone/no-such-model"),
        ("a/b/c", "no folder a/b/c"),
    ],
)
def test_a_model_that_is_nowhere_is_refused_by_name(source: str, message: str) -> None:
    with pytest.raises(MissingCaptioner, match=message):
        local_folder(source)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingCaptioner, match=r"holds no config\.json"):
        Captioner.load(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(MissingCaptioner, match="no vision-language model can be loaded"):
        Captioner.load(str(tmp_path))
