"""The tiny run of `tests.tiny_fit`, for tests of single modules."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_fit import LINEAGE, tiny_fit, write_images

from curation.tables import TableRef
from models.bundle import Lineage
from train.config import FitConfig


@pytest.fixture
def fit_config(tmp_path: Path) -> FitConfig:
    """A generator of a few thousand parameters, twelve steps."""
    return tiny_fit(tmp_path)


@pytest.fixture
def lineage() -> Lineage:
    """Where the tiny run says it comes from."""
    return LINEAGE


@pytest.fixture
def write_images_without() -> Callable[[Path, int], TableRef]:
    """Writes the tiny table with one latent missing."""
    return lambda place, row: write_images(place, without_latent=row)
