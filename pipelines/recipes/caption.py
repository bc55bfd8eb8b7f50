"""Recipes of `seedbed caption`."""

from curation.captions.cache import Generation
from curation.captions.vllm_answers import VllmEngine
from curation.tables import TableRef
from infra.storage import Workspace
from pipelines.caption import CaptionConfig, TransformersWriter, VllmWriter


def default(workspace: Workspace) -> CaptionConfig:
    """The table `images`, from facts.

    Run:      seedbed caption
    Hardware: two cores, seconds
    """
    return CaptionConfig(images=_images(workspace), workers=2)


def model(workspace: Workspace) -> CaptionConfig:
    """Kept pictures by a vision-language model at hand: set writer.model to a folder or cached name.

    Run:      seedbed caption model --set writer.model=Qwen/Qwen3-VL-2B-Instruct --set writer.device=cuda
    Hardware: the memory of the model and its activations for each worker; duration not yet measured
    """
    writer = TransformersWriter(
        model="Qwen/Qwen3-VL-2B-Instruct", prompts=("all_en", "all_zh"), batch_size=8, device="cpu", dtype="stored",
        generation=Generation(max_new_tokens=768, longest_px=1024),
    )  # fmt: skip
    return CaptionConfig(images=_images(workspace), writer=writer, rows="kept", workers=1)


def cluster(workspace: Workspace) -> CaptionConfig:
    """Kept pictures by vLLM on a Ray cluster with GPUs.

    Run:      seedbed caption cluster --address ray://HEAD:10001 --set writer.engine.replicas=8
    Hardware: one GPU of 24 GB a replica; not yet run
    """
    writer = VllmWriter(
        model="Qwen/Qwen3-VL-8B-Instruct", prompts=("all_en", "all_zh"), dtype="bfloat16",
        generation=Generation(max_new_tokens=768, longest_px=1024),
        engine=VllmEngine(replicas=1, gpus_per_replica=1, max_model_len=8192, batch_size=64, accelerator=None),
    )  # fmt: skip
    return CaptionConfig(images=_images(workspace), writer=writer, rows="kept", workers=4)


def _images(workspace: Workspace) -> TableRef:
    return TableRef(uri=workspace.uri("tables", "images.lance"))
