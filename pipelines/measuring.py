"""From what a recipe asks for to signals, with what each needs handed in."""

import json
from collections.abc import Mapping, Sequence

from curation.signals import NAMED, SignalConfig
from curation.signals.contract import Signal, in_waves
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
        case KnowledgeQualityConfig():
            return knowledge_quality_signal(config)
        case _:
            return NAMED[config]


def _leaf_signal(config: LeafConfig, workspace: Workspace) -> Signal:
    """Notes the digests of this version's leaves, so that a later one need not measure them again."""
    digests = digests_of(config)
    earlier = {file.removesuffix(".json"): _digests(file, workspace) for file in workspace.names(_LEAVES, "*.json")}
    workspace.write_text(json.dumps(dict(digests), indent=1), _LEAVES, f"{scores_version(digests)}.json")
    return leaf_signal(config, digests, earlier=earlier)


def _digests(file: str, workspace: Workspace) -> Mapping[str, str]:
    return json.loads(workspace.read_text(_LEAVES, file))
