"""Batch functions from decoded pictures or texts to measured columns: one module a family, one `Signal` each, listed here.

A recipe says which of them a job measures (`SignalConfig`): by name where there is nothing to set, else by a configuration that
stands beside the signal. `pipelines.measuring` builds them. No Ray, MLflow or Lance.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from curation.signals import appearance, features, hashes, language, nsfw, overlay, text_quality
from curation.signals.alignment import AlignmentConfig
from curation.signals.contract import Signal
from curation.signals.knowledge_quality import KnowledgeQualityConfig
from curation.signals.leaves import LeafConfig

SignalName = Literal["hashes", "appearance", "features", "text_language", "text_quality", "nsfw", "overlay"]

SignalConfig = SignalName | Annotated[LeafConfig | AlignmentConfig | KnowledgeQualityConfig, Field(discriminator="kind")]
"""What a recipe may ask for."""

NAMED: Mapping[str, Signal] = {
    one.SIGNAL.name: one.SIGNAL for one in (hashes, appearance, features, language, text_quality, nsfw, overlay)
}
"""Signals without settings, by name."""

BY_DEFAULT: tuple[SignalName, ...] = ("hashes", "appearance", "features")
"""What a picture is measured for unless a recipe says otherwise: duplicates, pairs and search rest on these."""

SIGNALS: tuple[Signal, ...] = tuple(NAMED[name] for name in BY_DEFAULT)
"""The signals of `BY_DEFAULT`."""
