"""The tables of the report: scores beside their baselines, the funnel, and time and size of every stage."""

from collections import Counter
from collections.abc import Sequence

from eval.charts import Mark, number, strip
from eval.document import keys, stack, table
from eval.markup import Markup, joined, tag
from eval.report import ALL, FunnelLine, Stage
from eval.scores import HIGHER_IS_BETTER, SUBJECTS, Metric, Score, Subject

_METRICS: dict[Metric, tuple[str, str]] = {
    "retrieval_r1": ("Retrieval R@1", "share of pictures whose own caption comes first among all captions of the set"),
    "retrieval_r10": ("Retrieval R@10", "share of pictures whose own caption is among the first ten"),
    "frechet_lite0": ("Fréchet distance, lite0", "between EfficientNet-lite0 features; comparable within a line only"),
    "edit_follows": ("Edit followed", "share of results nearer to the truth than to any reference"),
    "error_inside": ("Error inside the edit", "mean absolute pixel error where the picture has to change, of a range of 2"),
    "error_outside": ("Error outside the edit", "the same where it has to stay as it was"),
    "scene_passes_easy": ("Easy scenes right", "share in which every stated fact holds, and nothing else was changed by an edit"),
    "scene_passes_medium": ("Medium scenes right", "the same for scenes of a coloured thing, or of two to four things"),
    "scene_passes_hard": ("Hard scenes right", "the same for fuller scenes and for those on photographs"),
    "scene_facts": ("Facts of scenes", "mean share of the stated facts that hold, all levels together"),
}
_SUBJECTS: dict[Subject, str] = {
    "generated": "generated",
    "beside": "other model",
    "nearest": "nearest caption",
    "real": "real",
    "reconstruction": "reconstruction",
    "reference": "unchanged",
    "noise": "noise",
}
_TASKS = {"t2i": "text to image", "edit": "edit", "compose": "composition"}
_SHARES: tuple[Metric, ...] = (
    "retrieval_r1", "retrieval_r10", "edit_follows",
    "scene_passes_easy", "scene_passes_medium", "scene_passes_hard", "scene_facts",
)  # fmt: skip

_SCORE_KEYS: dict[Subject, tuple[str, str]] = {
    "generated": ("generated", "var(--accent)"),
    "beside": ("another model", "var(--plum)"),
    "nearest": ("the training picture with the nearest caption", "var(--gold)"),
    "real": ("real (filled) and its reconstruction by the autoencoder (open)", "var(--blue)"),
    "reference": ("the reference, unchanged", "var(--warm)"),
    "noise": ("noise, decoded", "var(--faint)"),
}
_VERDICTS = (("kept", "var(--accent)"), ("dropped", "var(--warm)"), ("quarantined", "var(--blue)"))


def score_table(scores: Sequence[Score]) -> Markup:
    """All numbers, one line for every measure, task and split."""
    if not scores:
        return Markup()
    subjects: list[Subject] = [subject for subject in SUBJECTS if any(score.subject == subject for score in scores)]
    heads = (_head("measure"), _head("on one scale", left=True), *(_head(_SUBJECTS[subject]) for subject in subjects))
    rows = [row for metric in _METRICS for row in _metric_rows(metric, scores, subjects)]
    about = (
        "Every number stands beside what real pictures, their round trip through the autoencoder, and noise would get, and what "
        "another model and the training pictures with the nearest captions do get, where they were asked. "
        "Small print: 95 % confidence interval. The Fréchet distance of real pictures is between halves of them and reads high."
    )
    shown = [(name, colour) for subject, (name, colour) in _SCORE_KEYS.items() if subject in subjects]
    return joined([tag("p", about), keys(shown), table(heads, rows)])


def funnel_table(funnel: Sequence[FunnelLine]) -> Markup:
    """What became of the rows of every category, and of all together."""
    if not funnel:
        return Markup()
    lines = [line for line in funnel if line.category != ALL]
    total = next((line for line in funnel if line.category == ALL), None) or _total(lines)
    most = max((line.rows for line in lines), default=0)
    rows = [*(_funnel_row(line, most=most) for line in lines), _funnel_row(total, most=total.rows, kind="sum")]
    names = ("rows", "kept", "dropped", "quarantined")
    heads = (_head("category"), _head("what became of it", left=True), *map(_head, names), _head("reasons", left=True))
    about = "Every row that came in is kept, dropped for a reason, or quarantined because it could not be read."
    return joined([tag("p", about), keys(_VERDICTS), table(heads, rows)])


def stage_table(stages: Sequence[Stage]) -> Markup:
    """Time, rows and bytes of every stage, and their sums."""
    if not stages:
        return Markup()
    longest = max(max(stage.seconds for stage in stages), 1e-9)
    rows = [_stage_row(stage, share=stage.seconds / longest) for stage in stages]
    seconds, num_bytes = sum(stage.seconds for stage in stages), sum(stage.bytes for stage in stages)
    cells = ("all", "", duration(seconds), "", "", "", size(num_bytes), "")
    rows.append(tag("tr", *map(_cell, cells), class_="sum"))
    heads = map(_head, ("stage", "", "time", "in", "out", "quarantined", "size"))
    return table((*heads, _head("what it did", left=True)), rows)


def duration(seconds: float) -> str:
    """Seconds for people: "0.4 s", "12 s", "3 min 05 s"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def size(num_bytes: int) -> str:
    """Bytes for people, in powers of 1000; "" for none."""
    if not num_bytes:
        return ""
    amount, units = float(num_bytes), ["B", "kB", "MB", "GB", "TB"]
    while amount >= 999.5 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{number(amount) if units[0] != 'B' else num_bytes} {units[0]}"


def _metric_rows(metric: Metric, scores: Sequence[Score], subjects: Sequence[Subject]) -> list[Markup]:
    scores = [score for score in scores if score.metric == metric]
    if not scores:
        return []
    title, meaning = _METRICS[metric]
    better = "higher is better" if HIGHER_IS_BETTER[metric] else "lower is better"
    about = tag("span", f" · {meaning} · {better}", class_="small")
    head = tag("tr", tag("th", title, about, colspan=str(2 + len(subjects))), class_="head")
    sets = dict.fromkeys((score.task, score.split) for score in scores)
    return [head, *(_set_row([score for score in scores if (score.task, score.split) == each], subjects) for each in sets)]


def _set_row(scores: Sequence[Score], subjects: Sequence[Subject]) -> Markup:
    first, found = scores[0], {score.subject: score for score in scores}
    name = _TASKS[first.task] + (", held out" if first.split == "heldout" else "")
    counted = f"{first.num_samples} pictures" + (f", {first.gallery} captions" if first.gallery else "")
    high = 1.0 if first.metric in _SHARES else max(score.high for score in scores)
    drawn = [found[subject] for subject in reversed(subjects) if subject in found]
    marks = [Mark(score.subject, _SUBJECTS[score.subject], score.value, score.low, score.high) for score in drawn]
    named = tag("td", name, tag("span", counted, class_="small"))
    scale = tag("td", strip(marks, low=0.0, high=high), class_="wide")
    return tag("tr", named, scale, *(_score_cell(found.get(subject)) for subject in subjects))


def _score_cell(score: Score | None) -> Markup:
    if score is None:
        return tag("td")
    shown = _percent if score.metric in _SHARES else number
    value = tag("span", shown(score.value), class_="own" if score.subject == "generated" else "")
    low = shown(score.low).removesuffix(" %")                        # the unit once: seven columns stand side by side
    return tag("td", value, tag("span", f"{low} – {shown(score.high)}", class_="small"))


def _total(funnel: Sequence[FunnelLine]) -> FunnelLine:
    reasons: Counter[str] = Counter()
    for line in funnel:
        reasons.update(line.reasons)
    return FunnelLine(
        ALL,
        sum(line.rows for line in funnel),
        sum(line.kept for line in funnel),
        sum(line.dropped for line in funnel),
        sum(line.quarantined for line in funnel),
        reasons,
    )


def _funnel_row(line: FunnelLine, *, most: int, kind: str = "") -> Markup:
    counts = (("kept", line.kept), ("dropped", line.dropped), ("quarantined", line.quarantined))
    bar = tag("td", stack([(name, count / max(most, 1)) for name, count in counts]), class_="wide")
    reasons = (tag("span", f"{name.replace('_', ' ')} {count:,}", class_="chip") for name, count in line.reasons.items() if count)
    numbers = (_cell(f"{count:,}") for count in (line.rows, *(count for _, count in counts)))
    return tag("tr", _cell(line.category), bar, *numbers, tag("td", *reasons, class_="left chips"), class_=kind)


def _stage_row(stage: Stage, *, share: float) -> Markup:
    bar = stack([("time", share)])
    aside = f"{stage.quarantined:,}" if stage.quarantined else ""
    cells = (duration(stage.seconds), f"{stage.rows_in:,}", f"{stage.rows_out:,}", aside, size(stage.bytes))
    wide, note = tag("td", bar, class_="wide"), tag("td", stage.note, class_="left note")
    return tag("tr", _cell(stage.name), wide, *map(_cell, cells), note)


def _head(text: str, *, left: bool = False) -> Markup:
    return tag("th", text, class_="left" if left else "")


def _cell(text: str) -> Markup:
    return tag("td", text)


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"
