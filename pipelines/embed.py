"""Embed: copy a workspace's generator into the package, small and self-contained, with a picture of what it draws.

Run by developers (``make pretrained``) after a demo: weights are stored in bf16, the evidence of what was seen comes along, and
paths of this machine become paths relative to the checkout.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from eval.render import Row, grid
from infra.errors import UserError
from infra.settings import CODE_ROOT
from models.bundle import GeneratorBundle, load_tensors, read_manifest, save_bundle
from pipelines.evaluate import read_scores
from pipelines.lineage import EVIDENCE_FILE, keep_evidence

MOST_BYTES = 20_000_000
_ACROSS = 6
_SHOWN = {"t2i": 24, "edit": 12, "compose": 12}


def embed(root: Path, package: Path) -> Path:
    """Copy the generator that the demo in `root` made into `package`; gives its folder.

    Raises:
        UserError: the result would be too large to be kept in the package.
    """
    summary = json.loads((root / "summary.json").read_text())
    source, target = Path(summary["bundle"]), package / "generator"
    manifest = read_manifest(source)
    assert isinstance(manifest.contents, GeneratorBundle), manifest.contents
    keep_evidence(source)
    weights = {name: load_tensors(source, name) for name in ("dit", "autoencoder")}
    lineage = type(manifest.lineage).model_validate_json(_relative(manifest.lineage.model_dump_json()))
    scores = {name: value for name, value in summary["metrics"].items() if "/ci_" not in name}
    save_bundle(target, manifest.contents, weights, lineage=lineage, metrics=scores, dtype=torch.bfloat16)
    (target / EVIDENCE_FILE).write_text(_relative((source / EVIDENCE_FILE).read_text()))
    _draw_samples(root, package / "samples.png")
    size = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
    if size > MOST_BYTES:
        shutil.rmtree(target)
        raise UserError(
            f"the bundle would take {size:,} bytes in the package, at most {MOST_BYTES:,} are allowed; make it smaller"
        )
    return target


def _draw_samples(root: Path, place: Path) -> None:
    record = next(iter(sorted((root / "jobs").glob("evaluate-*.json"), key=lambda file: file.stat().st_mtime, reverse=True)))
    folder = Path(json.loads(record.read_text())["outputs"]["folder"])
    rows = []
    for task, count in _SHOWN.items():
        samples = [sample for sample in read_scores(folder).samples if (sample.task, sample.split) == (task, "train")]
        for sample in samples[:count]:
            references = [_pixels(folder / each) for each in sample.references]
            gaps = [None] * (2 - len(references))
            rows.append(
                Row((*references, *gaps, _pixels(folder / sample.picture), _pixels(folder / sample.target)), sample.prompt)
            )
    place.parent.mkdir(parents=True, exist_ok=True)
    sheet = grid(rows, heads=["reference 1", "reference 2", "generated", "real"], across=_ACROSS, cell_px=64)
    Image.fromarray(sheet).save(place, optimize=True)


def _relative(text: str) -> str:
    return text.replace(f"{CODE_ROOT}/", "")


def _pixels(place: Path) -> UInt8[np.ndarray, "y x 3"]:
    return np.asarray(Image.open(place).convert("RGB"))


if __name__ == "__main__":
    place = embed(Path(sys.argv[1]).absolute(), CODE_ROOT / "models" / "pretrained")
    sys.stdout.write(f"{place}\n")
