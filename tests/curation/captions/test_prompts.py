from pathlib import Path

import pytest

from curation.captions.prompts import prompt as prompts
from curation.captions.prompts.prompt import Prompt, digest_of_prompts, load_prompt, load_prompts, prompt_ids
from infra.errors import UserError


def test_every_level_can_be_asked_for_in_both_languages() -> None:
    found = {(prompt.language, level) for prompt in map(load_prompt, prompt_ids()) for level in (prompt.level,)}
    assert found == {(language, level) for language in ("en", "zh") for level in ("short", "medium", "long", "all")}


def test_one_call_asks_for_captions_type_style_watermarks_and_damage() -> None:
    for prompt_id in ("all_en", "all_zh"):
        prompt = load_prompt(prompt_id)
        assert prompt.levels == ("short", "medium", "long")
        assert set(prompt.fields) == {"short", "medium", "long", "type", "style", "watermarks", "abnormal"}


def test_digests_are_of_content_and_do_not_depend_on_order() -> None:
    prompt = load_prompt("short_en")
    assert prompt.digest == load_prompt("short_en").digest
    edited = Prompt.model_validate({**prompt.model_dump(), "text": prompt.text + " "})
    assert edited.digest != prompt.digest
    one, other = load_prompts(("short_en", "long_zh")), load_prompts(("long_zh", "short_en"))
    assert digest_of_prompts(one) == digest_of_prompts(other) != digest_of_prompts(one[:1])


def test_what_does_not_exist_or_collides_is_named() -> None:
    with pytest.raises(UserError, match="no prompt 'tiny_en'; there are all_en"):
        load_prompt("tiny_en")
    with pytest.raises(UserError, match="'all_en' and 'short_en' both write the short caption in 'en'"):
        load_prompts(("all_en", "short_en"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("language: en\nlevel: all\ntext: hello\n", "fields are given when, and only when"),
        ("language: en\nlevel: all\nfields: [short]\ntext: hello\n", "does not ask for the field 'short'"),
        ("language: fr\nlevel: short\ntext: bonjour\n", "Input should be 'en' or 'zh'"),
        ("language: [\n", "is wrong"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.yaml").write_text(content)
    monkeypatch.setattr(prompts, "FOLDER", tmp_path)
    with pytest.raises(UserError, match=message):
        load_prompt("bad")
