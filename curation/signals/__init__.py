"""Batch functions from decoded pictures or texts to measured columns: one module a family, one `Signal` each, listed here.

A recipe says which of them a job measures (`SignalConfig`): by name where there is nothing to set, else by a configuration that
stands beside the signal. `pipelines.measuring` builds them. No Ray, MLflow or Lance.
"""

from collections.abc import Mapping
from typing import Literal

from curation.signals import appearance, features, hashes, language, text_quality
from curation.signals.contract import Signal
from curation.signals.leaves import LeafConfig

SignalName = Literal["hashes", "appearance", "features", "text_language", "text_quality"]

SignalConfig = SignalName | LeafConfig
"""What a recipe may ask for."""

NAMED: Mapping[str, Signal] = {
    one.name: one for one in (hashes.SIGNAL, appearance.SIGNAL, features.SIGNAL, language.SIGNAL, text_quality.SIGNAL)
}
"""Signals without settings, by name."""

SIGNALS: tuple[Signal, ...] = (hashes.SIGNAL, appearance.SIGNAL, features.SIGNAL)
"""What every picture is measured for by default: duplicates, pairs and search rest on these."""
