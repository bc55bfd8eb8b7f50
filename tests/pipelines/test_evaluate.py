"""The whole job on random weights: what it says about them is worthless, what it writes is not."""

import shutil
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
import torch

from curation.decode import encode_png
from curation.tables import IMAGES_SCHEMA, SELECTION_SCHEMA, TableRef
from eval.render import read_png, to_image
from eval.report import galleries
from infra.errors import UserError
from infra.session import Session
from models.bundle import ContrastiveBundle, Lineage, TableVersion, read_manifest, save_bundle
from models.generate import Generator, Request, generate
from models.perception.contrastive import ContrastiveConfig, ContrastiveHead
from pipelines import evaluate
from pipelines.evaluate import EvaluateConfig, SampleCounts, read_scores

NUM_PICTURES = 9
NOTHING = SampleCounts(t2i=0, edit=0, compose=0)


def write_images(uri: str) -> None:
    empty = {field.name: "" for field in IMAGES_SCHEMA} | {"parents": []}
    generator = np.random.default_rng(0)
    rows = []
    for number in range(NUM_PICTURES):
        pixels = np.repeat(np.repeat(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8), 8, 0), 8, 1)
        category = "fruit" if number < 5 else "tools"
        rows.append(empty | {"id": f"emoji/{number}", "image": encode_png(pixels), "category": category})
    lance.write_dataset(pa.Table.from_pylist(rows, schema=IMAGES_SCHEMA), uri)


def write_selection(uri: str) -> None:
    shown = [
        {"sample_id": f"emoji/{n}", "task": "t2i", "target_id": f"emoji/{n}", "reference_ids": [], "further_ids": [], "tags": [],
         "texts": [f"thing {n}"] * 3,
         "text_weights": [0.2, 0.3, 0.5], "score_text": f"thing {n}", "split": "train" if n else "heldout", "weight": 1.0}
        for n in range(NUM_PICTURES)
    ]  # fmt: skip
    made = [
        {"sample_id": f"{task}/{n}", "task": task, "target_id": f"emoji/{n + 4}",
         "reference_ids": [f"emoji/{n}", f"emoji/{n + 1}"][: 1 if task == "edit" else 2], "further_ids": [], "tags": [],
         "texts": [f"{task} {n}"] * 3,
         "text_weights": [0.2, 0.3, 0.5], "score_text": f"thing {n + 4}", "split": "train", "weight": 1.0}
        for task in ("edit", "compose")
        for n in range(3)
    ]  # fmt: skip
    lance.write_dataset(pa.Table.from_pylist(shown + made, schema=SELECTION_SCHEMA), uri)


@pytest.fixture
def config(session: Session, tiny_generator: Path) -> EvaluateConfig:
    images, selection = session.workspace.uri("tables", "images.lance"), session.workspace.uri("selections", "all-1.lance")
    for uri in (images, selection):
        Path(uri).parent.mkdir(parents=True)
    write_images(images)
    write_selection(selection)
    torch.manual_seed(0)
    shape = ContrastiveConfig(width=8, text_hidden=8, image_noise=1.0)
    lineage = Lineage(run_id="r", tables=(), selection=TableVersion(uri=selection, version=1), parents=(), code="c")
    head = session.workspace.local("bundles", "contrastive-1")
    weights = {"contrastive": ContrastiveHead(shape).state_dict()}
    save_bundle(head, ContrastiveBundle(head=shape), weights, lineage=lineage, metrics={})
    return EvaluateConfig(
        images=TableRef(uri=images, selection=selection), bundle=str(tiny_generator), contrastive=str(head),
        train=SampleCounts(t2i=8, edit=2, compose=2), heldout=SampleCounts(t2i=4, edit=4, compose=0),
        level="medium", batch_size=3, seed=0,
    )  # fmt: skip


def test_every_sample_is_drawn_stored_and_scored_beside_its_baselines(
    config: EvaluateConfig, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = evaluate.run(config, session)
    monkeypatch.setattr(Generator, "load", None)
    assert evaluate.run(config, session) == outcome                           # nothing is done a second time
    folder = Path(outcome.outputs["folder"])
    found = read_scores(folder)
    assert (outcome.rows_out, len(found.samples)) == (13, 13)                 # 8 + 2 + 2, and the one that is held out
    assert outcome.outputs["bundle_digest"] == read_manifest(Path(config.bundle)).digest
    assert outcome.metrics == found.metrics()
    expected = {f"eval/retrieval_r1/t2i{suffix}" for suffix in ("", "/nearest", "/real", "/reconstruction", "/noise", "/heldout")}
    expected |= {"eval/edit_follows/compose", "eval/error_inside/edit", "eval/frechet_lite0/t2i/noise"}
    assert expected <= outcome.metrics.keys()
    for sample in found.samples:
        kept = (sample.picture, sample.target, *sample.references, *sample.others.values())
        assert all((folder / each).is_file() for each in kept)
        assert list(sample.others) == (["nearest"] if sample.task == "t2i" else [])
        assert sample.target not in sample.others.values()
    assert {path.stem for path in folder.glob("*.png")} == {"t2i-train", "t2i-heldout", "edit-train", "compose-train"}
    shown = galleries(found, folder, most=2, most_heldout=1)
    assert [(len(each.heads), each.result, len(each.examples)) for each in shown] == [(3, 0, 2), (3, 1, 2), (4, 2, 2), (3, 0, 1)]


def test_another_generator_draws_the_same_samples_at_its_own_size(
    config: EvaluateConfig, session: Session, tiny_generator: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_generator, tmp_path / "twin")
    small = {"train": SampleCounts(t2i=4, edit=2, compose=2), "heldout": NOTHING}
    asked = config.model_copy(update={**small, "beside": str(tmp_path / "twin"), "categories": ("fruit",)})
    outcome = evaluate.run(asked, session)
    folder, twin = Path(outcome.outputs["folder"]), read_manifest(tmp_path / "twin").digest
    found = read_scores(folder)
    assert found.beside == twin
    assert {sample.sample_id for sample in found.samples} == {"emoji/1", "emoji/2", "emoji/3", "emoji/4", "edit/0", "compose/0"}
    for sample in found.samples:                                      # the same weights, noise and references: the same picture
        beside = read_png(folder / sample.others["beside"])
        assert np.abs(beside.astype(int) - read_png(folder / sample.picture)).max() <= 2
    metrics = outcome.metrics
    assert metrics["eval/retrieval_r1/t2i/beside"] == metrics["eval/retrieval_r1/t2i"]
    assert "eval/edit_follows/edit/beside" in metrics
    heads = [each.heads for each in galleries(found, folder, most=1, most_heldout=1)]
    assert heads[0] == ("generated", "other model", "nearest caption", "real")
    assert heads[2] == ("reference 1", "reference 2", "generated", "other model", "truth")


def assert_served(config: EvaluateConfig, folder: Path) -> None:
    """The first picture is the one that a request of its own, with the bundle's sampler, gets."""
    sample, chosen = read_scores(folder).samples[0], evaluate._chosen(config)[0][0]
    generator = Generator.load(Path(config.bundle))
    alone = generate(generator, [Request(sample.prompt, (), chosen.seed(config.seed), generator.default_size)])[0]
    assert torch.allclose(to_image(read_png(folder / sample.picture)), alone, atol=2 / 127.5)


def test_a_run_that_was_broken_off_draws_nothing_twice(
    config: EvaluateConfig, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config.model_copy(update={"train": SampleCounts(t2i=4, edit=0, compose=0), "heldout": NOTHING})
    first = evaluate.run(config, session)
    folder = Path(first.outputs["folder"])
    assert_served(config, folder)
    session.workspace.local("jobs", f"evaluate-{first.digest}.json").unlink()
    lost = sorted((folder / "samples" / "t2i-train").iterdir())[:2]
    for path in lost:
        path.unlink()
    drawn: list[int] = []

    def counted(generator: Generator, requests: list[Request], **rest: object) -> list[torch.Tensor]:
        drawn.append(len(requests))
        return generate(generator, requests)

    monkeypatch.setattr("eval.drawing.generate", counted)
    again = evaluate.run(config, session)
    assert drawn == [2]
    assert again.metrics == pytest.approx(first.metrics, abs=0.02, nan_ok=True)


def test_a_table_without_a_selection_and_an_empty_choice_are_refused(config: EvaluateConfig, session: Session) -> None:
    with pytest.raises(UserError, match=r"images\.selection"):
        evaluate.run(config.model_copy(update={"images": TableRef(uri=config.images.uri)}), session)
    with pytest.raises(UserError, match="none of the samples"):
        evaluate.run(config.model_copy(update={"train": NOTHING, "heldout": NOTHING}), session)
