import pytest

from infra.errors import UserError


def test_an_alias_leads_to_the_bundle(tracked_session):
    registry = tracked_session.registry
    first = registry.register("/work/bundles/a", "generator", "", {"eval/score": 0.5})
    second = registry.register("/work/bundles/b", "generator", "", {"eval/score": 0.75})
    registry.set_alias("generator", "champion", first)
    assert registry.resolve("generator", "champion") == "/work/bundles/a"
    registry.set_alias("generator", "champion", second)
    assert registry.resolve("generator", "champion") == "/work/bundles/b"


def test_registering_the_same_bundle_again_gives_the_same_version(tracked_session):
    registry = tracked_session.registry
    versions = [registry.register("/work/bundles/a", "generator", "", {}) for _ in range(2)]
    assert versions[0] == versions[1]


def test_a_name_that_nobody_registered_is_a_user_error(tracked_session):
    with pytest.raises(UserError, match="no model 'generator' with alias 'champion'"):
        tracked_session.registry.resolve("generator", "champion")


def test_a_session_that_records_nothing_has_no_registry(session):
    with pytest.raises(UserError, match="has no registry"):
        _ = session.registry
