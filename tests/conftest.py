"""What tests share: one Ray for the whole run, and sessions in throw-away workspaces.

* ``workspace``, ``settings``: an empty local workspace.
* ``session``: a session in it that records nothing.
* ``tracked_session``: a session in it with MLflow in SQLite, as in real use.
* ``tiny_vlm``: folder of a vision-language model with random weights, real in every part.
* ``local_ray``: the one local Ray of the test run; ask for it beside a session whose job needs Ray. Tests are not shipped to its
  workers, so a task that a test makes up is a function nested in that test (those travel by value).
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"       # Ray would look at how pytest was started
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("LANCE_LOG", "error")

from infra.session import Session, start_ray
from infra.settings import Settings
from infra.storage import Workspace
from infra.tracking import Tracker
from infra.untracked import NullTracker

LOGICAL_CPUS = 8

hypothesis_settings.register_profile("seedbed", deadline=None)      # neighbours on the machine decide how long an example takes
hypothesis_settings.load_profile("seedbed")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=str(tmp_path / "work"), cache_dir=tmp_path / "cache", logical_cpus=LOGICAL_CPUS, ship_code=True)


@pytest.fixture
def workspace(settings: Settings) -> Workspace:
    return Workspace(settings.root)


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    session = Session(settings, tracker=NullTracker())
    yield session
    session.close()


@pytest.fixture(scope="session")
def empty_mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables take seconds to create; tests start from a copy."""
    workspace = Workspace(str(tmp_path_factory.mktemp("mlflow")))
    tracker = Tracker(workspace)
    tracker.client.search_experiments()
    return workspace.local("mlflow.db")


@pytest.fixture
def tracked_session(settings: Settings, workspace: Workspace, empty_mlflow_database: Path) -> Iterator[Session]:
    workspace.local().mkdir(parents=True)
    shutil.copy(empty_mlflow_database, workspace.local("mlflow.db"))
    session = Session(settings)
    yield session
    session.close()


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    import ray

    folder = Path(tempfile.mkdtemp(prefix="sb-", dir="/tmp"))     # short: Unix sockets allow 107 characters
    start_ray(Settings(root=str(folder), cache_dir=folder, logical_cpus=LOGICAL_CPUS, ship_code=True), temp_dir=folder)
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


_CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }} {% for c in m['content'] %}{% if c['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
)


@pytest.fixture(scope="session")
def tiny_vlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen2.5-VL of 4 M parameters with MiniLM's words: writes garbage, always the same."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor, Qwen2VLVideoProcessor
    from transformers.models.qwen2_vl import Qwen2VLImageProcessor

    folder = tmp_path_factory.mktemp("tiny-vlm")
    tokenizer, ids = _vlm_tokenizer()
    images = Qwen2VLImageProcessor(patch_size=14, merge_size=2, min_pixels=28 * 28, max_pixels=28 * 28 * 16)
    Qwen2_5_VLProcessor(
        image_processor=images, tokenizer=tokenizer, video_processor=Qwen2VLVideoProcessor(), chat_template=_CHAT_TEMPLATE
    ).save_pretrained(folder)
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rope_parameters": rope, "max_position_embeddings": 2048,
        "bos_token_id": ids["<|im_start|>"], "eos_token_id": ids["<|im_end|>"],
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "out_hidden_size": 64, "patch_size": 14,
        "spatial_merge_size": 2, "fullatt_block_indexes": [1], "window_size": 56,
    }  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen2_5_VLForConditionalGeneration(config)
    assert model.generation_config is not None
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    return folder


def _vlm_tokenizer():  # the type is transformers', imported late
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    from models.minilm import _weights_folder

    words = Tokenizer.from_file(str(_weights_folder() / "tokenizer.json"))
    words.no_truncation()
    words.no_padding()
    words.post_processor = TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    marks = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", eos_token="<|im_end|>")
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    ids: dict[str, int] = {mark: tokenizer.get_vocab()[mark] for mark in marks}
    return tokenizer, ids
