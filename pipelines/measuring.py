"""From what a recipe asks for to signals, with what each needs handed in."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from curation.knowledge.quality import rate, ratings_version
from curation.signals import NAMED, SignalConfig
from curation.signals.alignment import (
    AlignmentConfig,
    FeatureAligner,
    HeadModel,
    OpenClipModel,
    PictureAligner,
    clip_signal,
    head_signal,
)
from curation.signals.contract import Signal, in_waves, version_of
from curation.signals.knowledge_quality import KnowledgeQualityConfig, knowledge_quality_signal
from curation.signals.leaves import LeafConfig, digests_of, leaf_signal, scores_version
from infra.errors import UserError
from infra.storage import Workspace

_LEAVES = "leaves"
"""Folder of a workspace with the digests of leaves, a file for each version of their scores."""


def signals_of(configs: Sequence[SignalConfig], workspace: Workspace) -> list[Signal]:
    """The signals that are asked for and all that these come after.

    Raises:
        UserError: two of them fill the same columns, or one lacks what it needs.
    """
    asked = [_signal_of(config, workspace) for config in configs]
    try:
        return [one for wave in in_waves(asked) for one in wave]
    except ValueError as error:
        raise UserError(f"signals: {error}") from error


def _signal_of(config: SignalConfig, workspace: Workspace) -> Signal:
    match config:
        case LeafConfig():
            return _leaf_signal(config, workspace)
        case AlignmentConfig():
            return _alignment_signal(config.model)
        case KnowledgeQualityConfig():
            return knowledge_quality_signal(config, rate, version=ratings_version())
        case _:
            return NAMED[config]


def _leaf_signal(config: LeafConfig, workspace: Workspace) -> Signal:
    """Notes the digests of this version's leaves, so that a later one need not measure them again."""
    digests = digests_of(config)
    earlier = {file.removesuffix(".json"): _digests(file, workspace) for file in workspace.names(_LEAVES, "*.json")}
    workspace.write_text(json.dumps(dict(digests), indent=1), _LEAVES, f"{scores_version(digests)}.json")
    return leaf_signal(config, digests, earlier=earlier)


def _alignment_signal(model: HeadModel | OpenClipModel) -> Signal:
    match model:
        case HeadModel():
            return head_signal(_head_digest(model), partial(_head, model))
        case OpenClipModel():
            return clip_signal(_clip_digest(model), partial(_clip, model))


def _head_digest(model: HeadModel) -> str:
    from models.bundle import BundleError, read_manifest  # heavy, as all of models below: most jobs measure without

    try:
        return read_manifest(Path(model.bundle)).digest
    except BundleError as error:
        raise UserError(f"alignment: {error}; give the folder that `seedbed fit contrastive` made") from error


def _head(model: HeadModel) -> FeatureAligner:
    from eval.head import load_contrastive
    from models.minilm import MiniLmEncoder
    from models.perception.alignment import HeadAlignment

    return HeadAlignment(load_contrastive(Path(model.bundle)), MiniLmEncoder.load())


def _clip_digest(model: OpenClipModel) -> str:
    from models.perception.alignment import check_model

    try:
        check_model(model.name, Path(model.weights))
    except ValueError as error:
        raise UserError(f"alignment: {error}") from error
    with Path(model.weights).open("rb") as file:
        return version_of(name=model.name, weights=hashlib.file_digest(file, "sha256").hexdigest())


def _clip(model: OpenClipModel) -> PictureAligner:
    from models.perception.alignment import ClipAlignment

    return ClipAlignment(model.name, Path(model.weights))


def _digests(file: str, workspace: Workspace) -> Mapping[str, str]:
    return json.loads(workspace.read_text(_LEAVES, file))
