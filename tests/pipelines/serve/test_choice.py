from contextlib import nullcontext
from pathlib import Path

import pytest

from infra.errors import UserError
from infra.session import Session
from infra.settings import CODE_ROOT
from models.bundle import BundleError, read_manifest
from pipelines.serve.choice import bundle_to_serve, champion_or_pretrained

PRETRAINED = CODE_ROOT / "models" / "pretrained" / "generator"
PACKAGE_HOLDS_ONE = nullcontext() if PRETRAINED.is_dir() else pytest.raises(UserError, match="run `seedbed demo`")


def test_a_named_bundle_wins(session: Session, tiny_generator: Path):
    assert bundle_to_serve(str(tiny_generator), session) == tiny_generator


def test_the_champion_comes_before_what_comes_with_the_package(tracked_session: Session, tiny_generator: Path):
    with PACKAGE_HOLDS_ONE:
        assert Path(champion_or_pretrained(tracked_session)) == PRETRAINED
    version = tracked_session.registry.register(str(tiny_generator), "generator", "", {})
    tracked_session.registry.set_alias("generator", "champion", version)
    assert bundle_to_serve("", tracked_session) == tiny_generator


def test_an_empty_workspace_stays_empty(session: Session):
    with PACKAGE_HOLDS_ONE:
        assert read_manifest(Path(champion_or_pretrained(session))).contents.kind == "generator"
    assert not session.workspace.exists("mlflow.db")


def test_a_folder_without_a_generator_is_refused(session: Session, generator: Path, tmp_path: Path):
    with pytest.raises(BundleError, match="no bundle at"):
        bundle_to_serve(str(tmp_path), session)
    with pytest.raises(UserError, match="is of kind 'autoencoder', serving needs 'generator'"):
        bundle_to_serve(str(generator.with_name("autoencoder-1")), session)
