import json

import pytest

from infra.errors import UserError
from infra.settings import Settings
from infra.storage import Workspace
from pipelines.where_used import command, ids_named, uses_of
from pipelines.why import command as why


@pytest.mark.usefixtures("generator")
def test_a_row_leads_to_selection_and_to_all_bundles(workspace: Workspace):
    uses = uses_of(["emoji/apple"], workspace)
    assert uses.ids == ("composed/1", "emoji/apple")
    assert [(one.uri, [sample.sample_id for sample in one.samples]) for one in uses.selections] == [
        (workspace.uri("selections", "food-1.lance"), ["p"])
    ]
    assert uses.bundles == tuple(workspace.uri("bundles", name) for name in ("autoencoder-1", "generator-1"))


@pytest.mark.usefixtures("generator")
def test_a_source_stands_for_all_its_rows(workspace: Workspace, settings: Settings, capsys: pytest.CaptureFixture[str]):
    assert ids_named("emoji", workspace) == {"emoji/apple", "emoji/bear"}
    assert command(["emoji", "--json"], settings) == 0
    assert json.loads(capsys.readouterr().out)["ids"] == ["composed/1", "emoji/apple", "emoji/bear"]
    assert command(["emoji"], settings) == 0
    assert "bundles     2" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"called 'emojis'; the sources are: composed, emoji$"):
        ids_named("emojis", workspace)


@pytest.mark.usefixtures("generator")
def test_why_fits_a_screen_and_tells_what_it_does_not_know(settings: Settings, capsys: pytest.CaptureFixture[str]):
    assert why(["emoji/apple"], settings) == 0
    printed = capsys.readouterr().out
    for expected in ("emoji/apple  not judged yet", "CC BY 4.0", "no picture", "composed/1", "food-1.lance", "weight 1, train"):
        assert expected in printed, expected
    assert len(printed.splitlines()) <= 24
    assert why(["emoji/apple", "--json"], settings) == 0
    assert json.loads(capsys.readouterr().out)["children"] == ["composed/1"]
    with pytest.raises(UserError, match="no row 'emoji/none'"):
        why(["emoji/none"], settings)
