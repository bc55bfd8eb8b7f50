"""Batch functions from decoded pictures or texts to measured columns: one module a family, one `Signal` each, listed here.

No Ray, MLflow or Lance.
"""

from curation.signals import appearance, features, hashes
from curation.signals.contract import Signal

SIGNALS: tuple[Signal, ...] = (hashes.SIGNAL, appearance.SIGNAL, features.SIGNAL)
"""All that there are, in the order in which they are asked."""

