"""Embed: copy a workspace's generator into the package, small and self-contained, with its scores and a picture of what it draws.

Run by developers (``make pretrained``) after a demo: weights are stored in bf16 and scored again as they are stored, the evidence
of what was seen comes along, and paths of this machine become paths relative to the checkout.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import yaml
from jaxtyping import UInt8
from PIL import Image

from eval.render import Row, grid
from infra.errors import UserError
from infra.session import Session, open_session
from infra.settings import CODE_ROOT, settings_from_environment
from models.bundle import GeneratorBundle, load_tensors, read_manifest, record_metrics, save_bundle
from pipelines import evaluate
from pipelines.evaluate import EvaluateConfig, read_scores
from pipelines.job import Outcome, finished
from pipelines.lineage import EVIDENCE_FILE, keep_evidence
from pipelines.overrides import validated

MOST_BYTES = 20_000_000
_ACROSS = 6
_SHOWN = {"t2i": 24, "edit": 12, "compose": 12}


def embed(session: Session, package: Path) -> Path:
    """Copy the generator that the demo in the session's workspace made into `package`; gives its folder.

    Raises:
        UserError: there is no demo, its generator was not evaluated, or the result would be too large to be kept in the package.
    """
    source = Path(json.loads(session.workspace.read_text("summary.json"))["bundle"])
    target = _copied(source, package / "generator")
    scored = _evaluated(source, target, session)
    record_metrics(target, {name: value for name, value in scored.metrics.items() if "/ci_" not in name})
    _draw_samples(Path(scored.outputs["folder"]), package / "samples.png")
    size = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
    if size > MOST_BYTES:
        shutil.rmtree(target)
        raise UserError(
            f"the bundle would take {size:,} bytes in the package, at most {MOST_BYTES:,} are allowed; make it smaller"
        )
    return target


def _copied(source: Path, target: Path) -> Path:
    manifest = read_manifest(source)
    assert isinstance(manifest.contents, GeneratorBundle), manifest.contents
    keep_evidence(source)
    weights = {name: load_tensors(source, name) for name in (file.removesuffix(".safetensors") for file in manifest.files)}
    lineage = type(manifest.lineage).model_validate_json(_relative(manifest.lineage.model_dump_json()))
    save_bundle(target, manifest.contents, weights, lineage=lineage, metrics={}, dtype=torch.bfloat16)
    (target / EVIDENCE_FILE).write_text(_relative((source / EVIDENCE_FILE).read_text()))
    return target


def _evaluated(source: Path, target: Path, session: Session) -> Outcome:
    """The evaluation of the copy, asked as the original was."""
    digest = read_manifest(source).digest
    known = [outcome for outcome in finished("evaluate", session.workspace) if outcome.outputs["bundle_digest"] == digest]
    settings = (yaml.safe_load(session.workspace.read_text("jobs", f"evaluate-{each.digest}.yaml")) for each in reversed(known))
    asked = next((each for each in settings if each.get("beside") is None), None)  # a comparison may be with what is replaced
    if asked is None:
        raise UserError(f"bundle {digest} was not evaluated in {session.workspace.root}; run `seedbed demo` to the end first")
    return evaluate.run(validated(EvaluateConfig, {**asked, "bundle": str(target), "bundle_digest": ""}), session)


def _draw_samples(evaluation: Path, place: Path) -> None:
    rows = []
    for task, count in _SHOWN.items():
        samples = [sample for sample in read_scores(evaluation).samples if (sample.task, sample.split) == (task, "train")]
        for sample in samples[:count]:
            references = [_pixels(evaluation / each) for each in sample.references]
            gaps = [None] * (2 - len(references))
            pictures = [_pixels(evaluation / each) for each in (sample.picture, sample.target)]
            rows.append(Row((*references, *gaps, *pictures), sample.prompt))
    place.parent.mkdir(parents=True, exist_ok=True)
    sheet = grid(rows, heads=["reference 1", "reference 2", "generated", "real"], across=_ACROSS, cell_px=64)
    Image.fromarray(sheet).save(place, optimize=True)


def _relative(text: str) -> str:
    return text.replace(f"{CODE_ROOT}/", "")


def _pixels(place: Path) -> UInt8[np.ndarray, "y x 3"]:
    return np.asarray(Image.open(place).convert("RGB"))


if __name__ == "__main__":
    with open_session(settings_from_environment(root=sys.argv[1])) as opened:
        sys.stdout.write(f"{embed(opened, CODE_ROOT / 'models' / 'pretrained')}\n")
