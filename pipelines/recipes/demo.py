"""Recipes of `seedbed demo`."""

from curation.sources import EmojiConfig
from curation.tables import TableRef
from infra.storage import Workspace
from models.samplers import SamplerConfig
from pipelines.demo import DemoConfig
from pipelines.encode import EncodeConfig
from pipelines.evaluate import EvaluateConfig, SampleCounts
from pipelines.ingest import IngestConfig
from pipelines.overrides import validated
from pipelines.pairs import PairsConfig
from pipelines.promote import PromoteConfig
from pipelines.recipes import caption, curate, fit, pairs, select, serve
from pipelines.recipes.promote import GATE
from pipelines.select import SelectConfig
from pipelines.serve.app import ServeConfig
from pipelines.serve.choice import pretrained_folder
from pipelines.visit import VisitConfig
from train.config import FitConfig

CATEGORIES = ("Food & Drink", "Animals & Nature")
"""What is ingested and judged."""
LEARNT = CATEGORIES[:1]
"""What the models are trained on: as much as two cores learn in minutes."""


def default(workspace: Workspace) -> DemoConfig:
    """Food and animals are ingested and judged, food is learnt: 582 drawings, about 1,400 samples, four small models.

    Run:      seedbed demo
    Hardware: two cores, about 18 minutes
    Expect:   own caption first (R@1) for at least 0.5 of text-to-image and 0.3 of edits
    """
    images = TableRef(uri=workspace.uri("tables", "images.lance"))
    return DemoConfig(
        ingest=IngestConfig(source=EmojiConfig(categories=CATEGORIES), images=images.uri, rows_per_fragment=128, workers=2),
        curate=curate.default(workspace),
        caption=caption.default(workspace),
        pairs=validated(PairsConfig, {**pairs.default(workspace).model_dump(), "categories": LEARNT}),
        select=_food(select.default(workspace)),
        autoencoder=fit.autoencoder_on(images),
        contrastive=fit.contrastive_on(images),
        encode=EncodeConfig(images=images, bundle="", batch_size=64, workers=2),
        text=fit.text_on(images),
        generator=fit.generator_on(images, autoencoder="", text_encoder=""),
        evaluate=EvaluateConfig(
            images=images, bundle="", contrastive="",
            train=SampleCounts(t2i=256, edit=256, compose=128), heldout=SampleCounts(t2i=24, edit=24, compose=12),
            level="medium", batch_size=64, seed=0,
        ),
        promote=PromoteConfig(bundle="", evaluation="", gate=GATE),
        visit=VisitConfig(serve=_on_a_free_port(serve.default(workspace)), evaluation="", requests_per_task=6),
    )  # fmt: skip


def embedded(workspace: Workspace) -> DemoConfig:
    """Food and animals are learnt, for longer: the generator that comes with the package, beside the one that came before.

    Run:      make train-embedded, that is seedbed demo embedded --root runs/embedded && python -m pipelines.embed runs/embedded
    Hardware: two cores, three quarters of an hour, half of it the generator
    Expect:   above `default` in every score that both are given, held-out edits included
    """
    whole = default(workspace)
    sampler = SamplerConfig(num_steps=16, solver="multistep", guidance=2.5, shift=1.0)
    rules: dict[str, object] = {**whole.select.rules.model_dump(), "categories": CATEGORIES}
    heldout = SampleCounts(t2i=48, edit=48, compose=24).model_dump()
    changes: dict[str, dict[str, object]] = {
        "pairs": {"categories": CATEGORIES},
        "select": {"name": "embedded", "rules": rules},
        "autoencoder": _of_steps(whole.autoencoder, 850),
        "contrastive": _of_steps(whole.contrastive, 800),
        "generator": {
            **_of_steps(whole.generator, 1600), "checkpoint": {"every_steps": 200},
            "loop": {**whole.generator.loop.model_dump(), "ema_decay": 0.998},
            "objective": {**whole.generator.objective.model_dump(), "sampler": sampler.model_dump()},
            "preview": {"every_steps": 500, "prompts": fit.PREVIEWED},
        },
        "evaluate": {"heldout": heldout},
    }  # fmt: skip
    changed = {name: {**getattr(whole, name).model_dump(), **change} for name, change in changes.items()}
    compare = {**_beside_pretrained(whole.evaluate), "heldout": heldout}
    return validated(DemoConfig, {**whole.model_dump(), **changed, "compare": compare})


def _beside_pretrained(config: EvaluateConfig) -> dict[str, object]:
    """The evaluation among what `default` learns, beside the generator that comes with the package."""
    return {**config.model_dump(), "categories": LEARNT, "beside": pretrained_folder("generator")}


def _of_steps(config: FitConfig, num_steps: int) -> dict[str, object]:
    (stage,) = config.plan.stages
    return {"plan": {**config.plan.model_dump(), "stages": ({**stage.model_dump(), "num_steps": num_steps},)}}


_TASKS = ("t2i", "edit", "compose", "sets")
_FEW_COMPOSED = {"backgrounds_per_image": 0.3, "mirrors_per_image": 0.1, "pastes_per_image": 0.3}
_FEW_SAMPLES = {"max_train": 12, "max_heldout": 3, "weight": 1.0}


def _food(config: SelectConfig) -> SelectConfig:
    rules = {**config.rules.model_dump(), "categories": LEARNT}
    return validated(SelectConfig, {**config.model_dump(), "name": "food", "rules": rules})


def _on_a_free_port(config: ServeConfig) -> ServeConfig:
    return validated(ServeConfig, {**config.model_dump(), "port": 0})


def smoke(workspace: Workspace) -> DemoConfig:
    """Every stage on a handful of pictures and steps: shows that the chain holds, not that anything is learnt.

    Run:      seedbed demo smoke --root runs/smoke
    Hardware: two cores, about two minutes
    """
    whole = default(workspace)
    few = SampleCounts(t2i=4, edit=4, compose=2).model_dump()
    counted = {"train": few, "heldout": few, "batch_size": 16}
    changes: dict[str, dict[str, object]] = {
        "select": {"rules": {**whole.select.rules.model_dump(), **dict.fromkeys(_TASKS, _FEW_SAMPLES)}},
        "pairs": {"compose": {**whole.pairs.compose.model_dump(), **_FEW_COMPOSED}},
        "ingest": {"source": EmojiConfig(categories=CATEGORIES[:1]).model_dump()},
        "autoencoder": _short(whole.autoencoder, num_steps=6, batch_samples=8),
        "contrastive": _short(whole.contrastive, num_steps=6, batch_samples=8),
        "text": {**_short(whole.text, num_steps=6, batch_samples=8), "objective": _of_few_words(whole.text)},
        "generator": {**_short(whole.generator, num_steps=4, batch_samples=8), "num_workers": 2, "threads_per_worker": 1},
        "evaluate": counted,
        "promote": {"gate": ()},
        "visit": {"requests_per_task": 1},
    }
    return validated(
        DemoConfig,
        {
            **whole.model_dump(), "compare": {**_beside_pretrained(whole.evaluate), **counted},
            **{name: {**getattr(whole, name).model_dump(), **change} for name, change in changes.items()},
        },
    )


def _of_few_words(config: FitConfig) -> dict[str, object]:
    return {**config.objective.model_dump(), "num_words": 100}


def _short(config: FitConfig, *, num_steps: int, batch_samples: int) -> dict[str, object]:
    stages = tuple({**stage.model_dump(), "num_steps": num_steps} for stage in config.plan.stages)
    return {
        "plan": {**config.plan.model_dump(), "batch_samples": batch_samples, "num_slots": 2, "stages": stages},
        "checkpoint": {"every_steps": 2},
        "log_every_steps": 1,
    }
