"""From a folder of pictures to latents: every curation job on a real table with a real local Ray."""

import io
import json
import shutil
from pathlib import Path

import lance
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from curation.edits.composing import ComposeConfig
from curation.selections import SelectRules, TaskRule
from curation.sources import FolderConfig
from curation.tables import FEATURE_DIM, MissingTable, TableRef
from infra.errors import UserError
from infra.session import Session
from models.autoencoder import Autoencoder, AutoencoderConfig
from models.bundle import AutoencoderBundle, Lineage, TableVersion, read_manifest, save_bundle
from pipelines import caption, curate, encode, ingest, pairs, select
from pipelines.curate_report import NUM_SAMPLES
from pipelines.job import Outcome
from pipelines.overrides import apply
from pipelines.recipes.curate import DRAWINGS
from pipelines.recipes.select import ENGLISH

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

JUDGED_BY = apply(DRAWINGS, ["dedup.near.bits=0", "dedup.near.cosine=0.999"])
ALL = TaskRule(max_train=None, max_heldout=None, weight=1)
RULES = SelectRules(
    categories=(), styles=(), max_concepts=None, shown_sources=("folder",), captions=ENGLISH, t2i=ALL, edit=ALL,
    compose=ALL, sets=ALL, seed=0,
)  # fmt: skip
COLOURS = {"apple": "red", "dog": "brown", "fish": "blue", "leaf": "green", "sun": "gold", "wine": "purple"}
NUM_GOOD = 2 * len(COLOURS)


def _png(colour: str, *, width: int, seed: int) -> bytes:
    corners = np.random.default_rng(seed).integers(8, 88, (5, 2)).flatten().tolist()
    image = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
    ImageDraw.Draw(image).polygon(corners, fill=colour, outline="black", width=width)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six things in two styles; one of them again; a file cut short, one that is no picture, one without a caption."""
    folder, lines = tmp_path / "pictures", []
    folder.mkdir()
    for seed, (name, colour) in enumerate(COLOURS.items()):
        for style, width in (("flat", 0), ("outlined", 5)):
            file = f"{name}-{style}.png"
            (folder / file).write_bytes(_png(colour, width=width, seed=seed))
            lines.append({"file": file, "text_en": name, "concept": name, "style": style, "category": "things"})
    shutil.copy(folder / "apple-flat.png", folder / "zz-again.png")
    (folder / "cut.png").write_bytes(_png("red", width=0, seed=50)[:200])
    (folder / "no-picture.png").write_text("hello")
    (folder / "silent.png").write_bytes(_png("red", width=2, seed=51))
    others = ("zz-again.png", "cut.png", "no-picture.png")
    lines += [{"file": file, "text_en": file, "concept": file, "style": "flat"} for file in others]
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def _ingest(folder: Path, session: Session) -> Outcome:
    images = session.workspace.uri("tables", "images.lance")
    source = FolderConfig(path=str(folder), heldout_share=0.0)
    return ingest.run(ingest.IngestConfig(source=source, images=images, rows_per_fragment=5, workers=2), session)


def _images(outcome: Outcome, *, selection: str | None = None) -> TableRef:
    return TableRef(uri=outcome.outputs["images"], version=int(outcome.outputs["version"]), selection=selection)


def _chain(folder: Path, session: Session, bundle: Path) -> list[Outcome]:
    outcomes = [_ingest(folder, session)]
    outcomes.append(curate.run(curate.CurateConfig(images=_images(outcomes[-1]), rules=JUDGED_BY, workers=1), session))
    outcomes.append(caption.run(caption.CaptionConfig(images=_images(outcomes[-1]), workers=1), session))
    composed = ComposeConfig(
        backgrounds_per_image=1, mirrors_per_image=1, pastes_per_image=1, canny_per_image=1, masks_per_image=0.5, size_px=96
    )
    table = session.workspace.uri("tables", "pairs.lance")
    pairing = pairs.PairsConfig(
        images=_images(outcomes[-1]), pairs=table, categories=(), compose=composed, max_references=2, rules=JUDGED_BY,
        rows_per_fragment=8, workers=1,
    )  # fmt: skip
    outcomes.append(pairs.run(pairing, session))
    paired = TableRef(uri=table, version=int(outcomes[-1].outputs["pairs_version"]))
    selecting = select.SelectConfig(name="test", images=_images(outcomes[-1]), pairs=paired, rules=RULES)
    outcomes.append(select.run(selecting, session))
    selected = _images(outcomes[-1], selection=outcomes[-1].outputs["selection"])
    outcomes.append(encode.run(encode.EncodeConfig(images=selected, bundle=str(bundle), batch_size=4, workers=1), session))
    return outcomes


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    shape = AutoencoderConfig(
        patch=4, widths=(16, 32), encoder_blocks=(1, 1), decoder_blocks=(1, 1), latent_channels=4, retouch_width=4,
    )
    nowhere = TableVersion(uri="/nowhere", version=1)
    lineage = Lineage(run_id="", tables=(nowhere,), selection=nowhere, parents=(), code="")
    weights = {"autoencoder": Autoencoder(shape).state_dict()}
    save_bundle(tmp_path / "ae", AutoencoderBundle(autoencoder=shape, size_px=32), weights, lineage=lineage, metrics={})
    return tmp_path / "ae"


def test_the_chain_ends_in_latents_and_a_second_time_does_nothing(folder: Path, session: Session, bundle: Path) -> None:
    outcomes = _chain(folder, session, bundle)
    _check_curated(outcomes[1])
    _check_composed(outcomes[3])
    _check_encoded(outcomes[5], bundle)
    version = lance.dataset(outcomes[0].outputs["images"]).version
    assert _chain(folder, session, bundle) == outcomes
    assert lance.dataset(outcomes[0].outputs["images"]).version == version


def _check_curated(outcome: Outcome) -> None:
    rows = lance.dataset(outcome.outputs["images"]).to_table(filter="verdict != 'kept' AND source = 'folder'").to_pylist()
    reasons = {row["locator"]: (row["verdict"], row["verdict_reasons"]) for row in rows}
    assert reasons == {
        "cut.png": ("quarantined", ["unreadable"]), "no-picture.png": ("quarantined", ["unreadable"]),
        "zz-again.png": ("dropped", ["duplicate_exact"]), "silent.png": ("dropped", ["no_text"]),
    }  # fmt: skip
    assert outcome.note == (
        f"measured {NUM_GOOD + 4} of {NUM_GOOD + 4} pictures: {NUM_GOOD} kept, "
        "2 dropped (1 no_text, 1 duplicate_exact), 2 quarantined (2 unreadable)"
    )
    assert (outcome.rows_in, outcome.rows_out, outcome.quarantined) == (NUM_GOOD + 4, NUM_GOOD, 2)
    funnel = json.loads(Path(outcome.outputs["funnel"]).read_text())
    assert {line["category"]: line["kept"] for line in funnel} == {"(none)": 0, "things": NUM_GOOD, "all": NUM_GOOD}
    report = Path(outcome.outputs["report"]).read_text()
    assert f"Curation of {NUM_GOOD + 4} rows" in report
    assert report.count("data:image/webp;base64,") == min(NUM_GOOD, NUM_SAMPLES) + 3, "one dropped stands beside its twin"
    assert outcome.metrics["curate/decode_rows"] == NUM_GOOD + 4
    assert f"{outcome.metrics['curate/cpu_hours_billion']:,.0f} CPU hours" in report


def _check_composed(outcome: Outcome) -> None:
    rows = lance.dataset(outcome.outputs["images"]).to_table(filter="source = 'composed'").to_pylist()
    assert len(rows) == outcome.metrics["pairs/composed_images"] >= 2 * NUM_GOOD
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["verdict"] in ("kept", "dropped")
        assert len(row["image_features"]) == FEATURE_DIM
        assert len(row["captions_en"]) == 3
        assert all(row["captions_en"])
        assert not row["captions_refused"]
    table = lance.dataset(outcome.outputs["pairs"]).to_table().to_pylist()
    assert len({row["id"] for row in table}) == len(table) == outcome.rows_out
    known = set(lance.dataset(outcome.outputs["images"]).to_table(columns=["id"])["id"].to_pylist())
    assert known.issuperset(picture for row in table for picture in [row["target_id"], *row["reference_ids"]])
    assert {row["kind"] for row in table} == {"style", "background", "mirror", "paste", "canny", "mask"}


def _check_encoded(outcome: Outcome, bundle: Path) -> None:
    selection = lance.dataset(outcome.outputs["selection"]).to_table().to_pylist()
    used = {picture for row in selection for picture in [row["target_id"], *row["reference_ids"]]}
    columns = ["id", "latent", "latent_shape", "latent_version"]
    rows = lance.dataset(outcome.outputs["images"]).to_table(columns=columns).to_pylist()
    assert {row["id"] for row in rows if row["latent"] is not None} == used
    assert {row["latent_version"] for row in rows} == {None, read_manifest(bundle).digest}
    assert {tuple(row["latent_shape"]) for row in rows if row["latent"]} == {(4, 4, 4)}   # 32 px by a factor of 8
    assert {len(row["latent"]) for row in rows if row["latent"]} == {64}


def test_new_pictures_in_the_folder_are_added_and_the_old_ones_left_alone(folder: Path, session: Session) -> None:
    first = _ingest(folder, session)
    before = lance.dataset(first.outputs["images"]).to_table()
    (folder / "later.png").write_bytes(_png("orange", width=1, seed=99))
    second = _ingest(folder, session)
    assert (second.rows_in, second.rows_out) == (first.rows_in + 1, 1)
    after = lance.dataset(second.outputs["images"]).to_table()
    assert after.slice(0, before.num_rows) == before
    assert after["locator"].to_pylist()[-1] == "later.png"


def test_other_limits_are_decided_without_measuring_again(folder: Path, session: Session) -> None:
    ingested = _ingest(folder, session)
    curate.run(curate.CurateConfig(images=_images(ingested), rules=JUDGED_BY, workers=1), session)
    strict = apply(JUDGED_BY, ["drop.too_small.limit=97"])
    again = curate.run(curate.CurateConfig(images=_images(ingested), rules=strict, workers=2), session)
    assert again.metrics["curate/measured_images"] == 0
    assert "curate/decode_cpu_s" not in again.metrics, "nothing was measured, which is not the same as zero seconds"
    assert "these are the figures of the run of" in Path(again.outputs["report"]).read_text()
    assert (again.rows_out, again.quarantined) == (0, 2)
    back = curate.run(curate.CurateConfig(images=TableRef(uri=ingested.outputs["images"]), rules=JUDGED_BY, workers=2), session)
    assert back.rows_out == NUM_GOOD


def test_a_missing_table_or_column_is_named(folder: Path, session: Session, bundle: Path) -> None:
    nothing = TableRef(uri=session.workspace.uri("tables", "none.lance"))
    with pytest.raises(MissingTable, match=r"no table at .*none\.lance"):
        curate.run(curate.CurateConfig(images=nothing, rules=JUDGED_BY, workers=1), session)
    with pytest.raises(UserError, match=r"needs images\.selection"):
        encode.run(encode.EncodeConfig(images=nothing, bundle=str(bundle), batch_size=1, workers=1), session)
    ingested = _images(_ingest(folder, session))
    compose = ComposeConfig(backgrounds_per_image=0, mirrors_per_image=0, pastes_per_image=0)
    config = pairs.PairsConfig(
        images=ingested, pairs=session.workspace.uri("tables", "pairs.lance"), categories=(), compose=compose, max_references=2,
        rules=JUDGED_BY, rows_per_fragment=1, workers=1,
    )  # fmt: skip
    with pytest.raises(MissingTable, match="run `seedbed curate` first"):
        pairs.run(config, session)
