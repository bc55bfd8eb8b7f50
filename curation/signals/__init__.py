"""Batch functions from decoded pictures or texts to measured columns: one module a family, one `Signal` each, listed here.

No Ray, MLflow or Lance.
"""

from collections.abc import Sequence

from curation.signals import appearance, features, hashes
from curation.signals.contract import Signal

SIGNALS: tuple[Signal, ...] = (hashes.SIGNAL, appearance.SIGNAL, features.SIGNAL)
"""All that there are, in the order in which they are asked."""


def named(names: Sequence[str]) -> tuple[Signal, ...]:
    """The signals of these names, in the order of `SIGNALS`.

    Raises:
        ValueError: there is no signal of a name.
    """
    unknown = sorted(set(names) - {one.name for one in SIGNALS})
    if unknown:
        raise ValueError(f"no signal {unknown[0]!r}; there are {', '.join(one.name for one in SIGNALS)}")
    return tuple(one for one in SIGNALS if one.name in names)
