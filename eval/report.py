"""What a report holds, as plain values: whoever ran the chain fills it in, `eval.page` turns it into one HTML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from curation.tables import Split
from curation.tasks import Task
from eval.charts import Chart
from eval.scores import SampleScore, SceneVerdict, Score, Scores, Subject


class Tile(NamedTuple):
    """One number at the top."""

    label: str
    value: str
    note: str
    """A word on what to hold it against."""
    state: Literal["good", "bad", "plain"]


ALL = "all"


class FunnelLine(NamedTuple):
    """What became of the rows of one category."""

    category: str
    rows: int
    kept: int
    dropped: int
    quarantined: int
    reasons: Mapping[str, int]
    """First reason of every row that was not kept."""


class Example(NamedTuple):
    """Pictures side by side and what was asked for."""

    pictures: tuple[bytes | None, ...]
    """PNG, one per head of the gallery; None leaves a gap."""
    caption: str
    mark: str
    """A word on how it was scored, "" for none."""
    is_hit: bool | None
    """Colours the mark; None when there is nothing to judge."""


class Gallery(NamedTuple):
    """Examples of one kind."""

    title: str
    note: str
    heads: tuple[str, ...]
    """Names of an example's pictures, in order."""
    result: int
    """Which of them was generated."""
    examples: tuple[Example, ...]


class Stage(NamedTuple):
    """One job of the chain."""

    name: str
    seconds: float
    rows_in: int
    rows_out: int
    quarantined: int
    bytes: int
    note: str


class Fact(NamedTuple):
    """A name and a value; `note` says more in small print."""

    label: str
    value: str
    note: str = ""


class Command(NamedTuple):
    """Something the reader can run next."""

    command: str
    purpose: str


class Comparison(NamedTuple):
    """The generator and another one, asked for the same pictures."""

    note: str
    """Which ones, and what they were asked."""
    galleries: tuple[Gallery, ...]
    scores: tuple[Score, ...]


class Report(NamedTuple):
    """Everything on the page; empty sections are left out."""

    title: str
    subtitle: str
    tiles: tuple[Tile, ...]
    galleries: tuple[Gallery, ...]
    scores: tuple[Score, ...]
    charts: tuple[Chart, ...]
    funnel: tuple[FunnelLine, ...]
    """By category; a line named `ALL` is taken for their sum, else it is summed up on the page."""
    stages: tuple[Stage, ...]
    lineage: tuple[Fact, ...]
    """From the bundle back to its sources, in order."""
    commands: tuple[Command, ...]
    notes: tuple[str, ...]
    """Limits and attributions, at the end."""
    comparison: Comparison | None = None


_MARKS = (
    "The mark is the place of the picture's own caption when all captions of the set are ranked by how well they fit; "
    "of composed scenes, the facts that do not hold."
)

_TRUTH: dict[Task, str] = {"t2i": "real", "edit": "truth", "compose": "truth"}

_OTHERS: dict[Subject, str] = {"beside": "other model", "nearest": "nearest caption"}

_TITLES: dict[tuple[Task, Split], tuple[str, str]] = {
    ("t2i", "train"): ("Text to image", "Concepts of the training set, drawn from the text alone, beside the real picture."),
    ("edit", "train"): ("Edits", "One picture and an instruction: reference, result, truth."),
    ("compose", "train"): ("Compositions", "Two pictures and an instruction: both references, result, truth."),
    ("t2i", "heldout"): ("Held out: text to image", "Concepts the model has never seen a picture of. Expect failure; see how."),
    ("edit", "heldout"): ("Held out: edits", "References and targets of concepts that were never trained on."),
    ("compose", "heldout"): ("Held out: compositions", "At least one of the references is of a concept never trained on."),
}


def galleries(scores: Scores, folder: Path, *, most: int, most_heldout: int) -> tuple[Gallery, ...]:
    """The first samples of every task and split, in the order in which they were drawn: none is picked by how it looks.

    Args:
        folder: of the evaluation; pictures are read from it.
    """
    found = []
    for (task, split), (title, note) in _TITLES.items():
        samples = [sample for sample in scores.samples if (sample.task, sample.split) == (task, split)]
        shown = samples[: most if split == "train" else most_heldout]
        if shown:
            most_references = max(len(sample.references) for sample in shown)
            heads = tuple(f"reference {n + 1}" if most_references > 1 else "reference" for n in range(most_references))
            others = tuple(name for subject, name in _OTHERS.items() if subject in shown[0].others)
            examples = tuple(_example(sample, folder, most_references) for sample in shown)
            counted = f"{note} The first {len(shown)} of {len(samples)} evaluated; none is picked by its looks. {_MARKS}"
            found.append(Gallery(title, counted, (*heads, "generated", *others, _TRUTH[task]), most_references, examples))
    return tuple(found)


def _example(sample: SampleScore, folder: Path, num_references: int) -> Example:
    references = [(folder / each).read_bytes() for each in sample.references]
    gaps = [None] * (num_references - len(references))
    places = [sample.picture, *(sample.others[subject] for subject in _OTHERS if subject in sample.others), sample.target]
    pictures = (*references, *gaps, *((folder / each).read_bytes() for each in places))
    if sample.scene is not None:
        return Example(pictures, sample.prompt, _scene_mark(sample.scene), sample.scene.passes)
    mark = "caption first" if sample.rank == 0 else f"caption at {sample.rank + 1}"
    return Example(pictures, sample.prompt, mark, sample.rank == 0)


def _scene_mark(scene: SceneVerdict) -> str:
    """The first facts that do not hold."""
    more = f" and {len(scene.failed) - 2} more" if len(scene.failed) > 2 else ""
    return f"{scene.level}: every fact holds" if scene.passes else f"{scene.level}: not {', '.join(scene.failed[:2])}{more}"
