"""Evaluate: generate pictures for training and held-out concepts, score them beside their baselines, keep the pictures.

Baselines are what perfect and worthless pictures would get, what a retrieval system would answer, and, where one is named, what
another generator draws for the same samples with the same noise.

Pictures are drawn with the code that serves them (`models.generate`). Each is stored as soon as it is drawn and scored from
what was stored, so a run that was broken off draws nothing twice and scores the same.
"""

from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
from pydantic import BaseModel, Field

from curation.commit import rows_of
from curation.selections import read_selection
from curation.tables import Split, TableRef, pictures_named, pin
from curation.tasks import Task
from eval.drawing import DrawSettings, Picture, decoded_noise, draw, reconstructed, store
from eval.head import load_contrastive
from eval.nearest import nearest
from eval.render import Row, at_size, grid
from eval.samples import Sample, choose, ids_of, load_pictures, picture_file, subject_file
from eval.scenes import SceneJudge
from eval.scores import SampleScore, SceneVerdict, Score, Scores, Subject
from eval.scoring import SampleSet, Scorer, SetScores
from infra.errors import UserError
from infra.session import Session
from infra.tracking import Run
from models.bundle import read_manifest
from models.generate import Generator
from models.minilm import MiniLmEncoder
from models.perception.efficientnet import LiteFeatures
from models.perception.scene_truth import LEVELS
from models.samplers import SamplerConfig
from pipelines.job import Outcome, Work, job_digest, run_job

SCORES_FILE = "scores.json"
EVALUATED: tuple[Task, ...] = ("t2i", "edit", "compose")
"""Tasks with one target, whose pictures are scored one by one."""
_GRID_ROWS = 48
_MOST_KNOWN = 20_000
"""Captions that a prompt is compared with, the first of a draw by the evaluation's seed."""


class SampleCounts(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """At most how many samples of each task; 0 leaves a task out."""

    t2i: int = Field(ge=0)
    """Text to image."""
    edit: int = Field(ge=0)
    """One reference and an instruction."""
    compose: int = Field(ge=0)
    """Several references and an instruction."""


class EvaluateConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which generator is scored on which samples."""

    images: TableRef
    """The table of pictures, narrowed by the selection the generator was trained on."""
    bundle: str
    """Folder of the generator's bundle."""
    contrastive: str
    """Folder of the bundle with the contrastive head that scores retrieval."""
    train: SampleCounts
    """Samples of concepts the generator was trained on."""
    heldout: SampleCounts
    """Samples of concepts it has never seen."""
    level: Literal["short", "medium", "long"]
    """How detailed the prompts are."""
    categories: tuple[str, ...] = ()
    """Categories that all pictures of a sample are of; all when empty."""
    beside: str | None = None
    """Folder of another generator's bundle that is asked for the same pictures; None for none."""
    batch_size: int = Field(gt=0)
    """Pictures drawn at once."""
    seed: int = Field(ge=0)
    """Key of the choice of samples and of their noise."""
    sampler: SamplerConfig | None = None
    """How latents are drawn; None for the bundle's own, which is what is served."""
    bundle_digest: str = ""
    """Digest of the generator's bundle; filled in when the job starts."""
    contrastive_digest: str = ""
    """Digest of the head's bundle; filled in when the job starts."""
    beside_digest: str = ""
    """Digest of the other generator's bundle; filled in when the job starts."""


class _Drawn(NamedTuple):
    """Samples of one task and split, the pictures they refer to by id, and what was made of them."""

    samples: list[Sample]
    views: dict[str, Picture]
    generated: list[Picture]
    beside: list[Picture] | None
    """By the other generator."""
    nearest: list[str] | None
    """Ids of the pictures with the nearest captions; for text-to-image alone."""


class _Artists(NamedTuple):
    """Who draws, and who answers with what there is."""

    generator: Generator
    beside: Generator | None
    known: list[Sample]
    """Training samples whose targets may be an answer."""
    reader: MiniLmEncoder
    """Compares captions, for scores and answers alike, whatever the generators read with."""


def run(config: EvaluateConfig, session: Session) -> Outcome:
    """Score the bundle; outputs `folder` (pictures, grids, `scores.json`), `scores` (that file) and `bundle_digest`."""
    if config.images.selection is None:
        raise UserError("evaluate needs images.selection, the selection it was trained on (output of `seedbed select`)")
    resolved = EvaluateConfig.model_validate(
        {
            **config.model_dump(),
            "images": pin(config.images).model_dump(),
            "bundle_digest": read_manifest(Path(config.bundle)).digest,
            "contrastive_digest": read_manifest(Path(config.contrastive)).digest,
            "beside_digest": "" if config.beside is None else read_manifest(Path(config.beside)).digest,
        }
    )
    return run_job("evaluate", resolved, session, partial(_evaluate, resolved, session))


def read_scores(folder: Path) -> Scores:
    """What an evaluation wrote into its folder."""
    return Scores.model_validate_json((folder / SCORES_FILE).read_text())


def _evaluate(config: EvaluateConfig, session: Session, run: Run) -> Work:
    folder = session.workspace.local("evaluations", job_digest("evaluate", config))
    chosen, artists = _chosen(config), _artists(config)
    head = load_contrastive(Path(config.contrastive))
    scorer = Scorer(LiteFeatures.load(), head, artists.reader, seed=config.seed)
    judge = SceneJudge(config.images, chain.from_iterable(chosen), size_px=artists.generator.default_size.height_px)
    samples: list[SampleScore] = []
    scores: list[Score] = []
    num_drawn = sum(map(len, chosen)) * (1 if artists.beside is None else 2)
    with session.progress.stage("evaluate", total=num_drawn) as bar:
        for each in chosen:
            drawn = _draw(config, artists, each, folder, on_done=bar.advance)
            shown = _sample_set(config, artists.generator, drawn)
            found, scenes = scorer.score(shown), judge.scores_of(shown, each)
            samples += _records(drawn, found, scenes.verdicts)
            scores += [*found.scores, *scenes.scores]
            run.log_file(_save_grid(drawn, folder), "grids")
    result = Scores(
        bundle=config.bundle_digest, contrastive=config.contrastive_digest, beside=config.beside_digest,
        samples=tuple(samples), scores=tuple(scores),
    )  # fmt: skip
    session.workspace.write_text(result.model_dump_json(indent=1), "evaluations", folder.name, SCORES_FILE)
    run.log_file(folder / SCORES_FILE)
    assert config.images.version is not None
    run.log_table(config.images.uri, config.images.version, "input")
    return _work(config, result, folder)


def _chosen(config: EvaluateConfig) -> list[list[Sample]]:
    """Samples by split and task, sets without any left out.

    Raises:
        UserError: the selection holds none of what was asked for.
    """
    selection = _asked_of(config)
    splits: tuple[tuple[Split, SampleCounts], ...] = (("train", config.train), ("heldout", config.heldout))
    sets = [
        choose(selection, task=task, split=split, num=getattr(counts, task), level=config.level, seed=config.seed)
        for split, counts in splits
        for task in EVALUATED
    ]
    if not any(sets):
        raise UserError(f"selection {config.images.selection} holds none of the samples; check its train and heldout counts")
    return [each for each in sets if each]


def _asked_of(config: EvaluateConfig) -> pa.Table:
    """The selection's samples of the categories."""
    assert config.images.selection is not None
    selection = read_selection(config.images.selection)
    if not config.categories:
        return selection
    listed = ", ".join("'" + each.replace("'", "''") + "'" for each in config.categories)
    within = frozenset(rows_of(config.images, ["id"], where=f"category IN ({listed})")["id"].to_pylist())
    return selection.filter(pa.array([within.issuperset(pictures_named(row)) for row in selection.to_pylist()], pa.bool_()))


def _artists(config: EvaluateConfig) -> _Artists:
    assert config.images.selection is not None
    everything = read_selection(config.images.selection)
    known = choose(everything, task="t2i", split="train", num=_MOST_KNOWN, level=config.level, seed=config.seed)
    beside = None if config.beside is None else Generator.load(Path(config.beside))
    return _Artists(Generator.load(Path(config.bundle)), beside, known, MiniLmEncoder.load())


def _draw(
    config: EvaluateConfig, artists: _Artists, samples: list[Sample], folder: Path, *, on_done: Callable[[int], None]
) -> _Drawn:
    generator = artists.generator
    found = None
    if samples[0].task == "t2i":
        found = nearest(samples, artists.known, artists.reader.pooled)
    ids = ids_of(samples) | frozenset(found or ())
    views = load_pictures(config.images, ids, size_px=generator.default_size.height_px)
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for each, pixels in views.items():
        store(folder / picture_file(each), pixels)
    generated = draw(
        generator, samples, views, folder / samples[0].folder,
        settings=DrawSettings(config.sampler, config.batch_size, config.seed), on_done=on_done,
    )  # fmt: skip
    beside = None if artists.beside is None else _drawn_beside(config, artists, samples, folder, on_done=on_done)
    return _Drawn(samples, views, generated, beside, found)


def _drawn_beside(
    config: EvaluateConfig, artists: _Artists, samples: list[Sample], folder: Path, *, on_done: Callable[[int], None]
) -> list[Picture]:
    """What the other generator draws, as its own bundle says, at the size of the pictures that it stands beside."""
    other = artists.beside
    assert other is not None
    shown = load_pictures(config.images, ids_of(samples), size_px=other.default_size.height_px)
    drawn = draw(
        other, samples, shown, (folder / subject_file("beside", samples[0])).parent,
        settings=DrawSettings(None, config.batch_size, config.seed), on_done=on_done,
    )  # fmt: skip
    return [at_size(picture, *artists.generator.default_size) for picture in drawn]


def _sample_set(config: EvaluateConfig, generator: Generator, drawn: _Drawn) -> SampleSet:
    """The generator's pictures beside those of every baseline."""
    first, size = drawn.samples[0], generator.default_size
    real = [drawn.views[sample.target_id] for sample in drawn.samples]
    pictures: dict[Subject, list[Picture]] = {
        "generated": drawn.generated,
        "real": real,
        "reconstruction": reconstructed(generator.autoencoder, real, batch_size=config.batch_size),
        "noise": decoded_noise(generator.autoencoder, len(real), size=size, batch_size=config.batch_size, seed=config.seed),
    }
    if drawn.beside is not None:
        pictures["beside"] = drawn.beside
    if drawn.nearest is not None:
        pictures["nearest"] = [drawn.views[each] for each in drawn.nearest]
    if first.reference_ids:
        pictures["reference"] = [drawn.views[sample.reference_ids[0]] for sample in drawn.samples]
    return SampleSet(
        task=first.task,
        split=first.split,
        score_texts=tuple(sample.score_text for sample in drawn.samples),
        pictures=pictures,
        references=tuple(tuple(drawn.views[each] for each in sample.reference_ids) for sample in drawn.samples),
    )


def _records(drawn: _Drawn, found: SetScores, scenes: list[SceneVerdict | None]) -> list[SampleScore]:
    follows = [None] * len(drawn.samples) if found.follows is None else found.follows.tolist()
    return [
        SampleScore(
            sample_id=sample.sample_id,
            task=sample.task,
            split=sample.split,
            prompt=sample.prompt,
            score_text=sample.score_text,
            picture=f"{sample.folder}/{sample.file_stem}.png",
            target=picture_file(sample.target_id),
            references=tuple(picture_file(each) for each in sample.reference_ids),
            others=_others(drawn, place),
            rank=rank,
            follows=does_follow,
            scene=scenes[place],
        )
        for place, (sample, rank, does_follow) in enumerate(zip(drawn.samples, found.ranks.tolist(), follows, strict=True))
    ]


def _others(drawn: _Drawn, place: int) -> dict[Subject, str]:
    beside: dict[Subject, str] = {} if drawn.beside is None else {"beside": subject_file("beside", drawn.samples[place])}
    return beside if drawn.nearest is None else {**beside, "nearest": picture_file(drawn.nearest[place])}


def _save_grid(drawn: _Drawn, folder: Path) -> Path:
    """The first samples as one labelled picture; gives its place."""
    shown = drawn.samples[:_GRID_ROWS]
    most = max(len(sample.reference_ids) for sample in shown)
    results: dict[str, list[Picture]] = {"generated": drawn.generated}
    if drawn.beside is not None:
        results["other model"] = drawn.beside
    if drawn.nearest is not None:
        results["nearest"] = [drawn.views[each] for each in drawn.nearest]
    rows = []
    for place, sample in enumerate(shown):
        references = [drawn.views[each] for each in sample.reference_ids]
        padding = [None] * (most - len(references))
        made = (pictures[place] for pictures in results.values())
        rows.append(Row((*references, *padding, *made, drawn.views[sample.target_id]), sample.prompt))
    heads = [f"reference {number + 1}" if most > 1 else "reference" for number in range(most)]
    path = folder / f"{drawn.samples[0].task}-{drawn.samples[0].split}.png"
    store(path, grid(rows, heads=[*heads, *results, "real"], across=4 if most else 6, cell_px=96))
    return path


def _work(config: EvaluateConfig, result: Scores, folder: Path) -> Work:
    metrics = result.metrics()
    found = [f"{task} {metrics[name]:.0%}" for task in EVALUATED if (name := f"eval/retrieval_r1/{task}") in metrics]
    right = [f"{level} {metrics[name]:.0%}" for level in LEVELS if (name := f"eval/scene_passes_{level}/t2i") in metrics]
    scenes = f"; scenes right: {', '.join(right)}" if right else ""
    return Work(
        rows_in=len(result.samples),
        rows_out=len(result.samples),
        quarantined=0,
        outputs={"folder": str(folder), "scores": str(folder / SCORES_FILE), "bundle_digest": config.bundle_digest},
        metrics=metrics,
        note=f"scored {len(result.samples):,} pictures; own caption first: {', '.join(found) or 'not asked for'}{scenes}",
    )
