"""Names for bundles: versions and aliases in MLflow's registry. A version points at the bundle's folder and keeps no copy."""

from collections.abc import Mapping

from infra.errors import UserError
from infra.tracking import Tracker


class Registry:
    """The registry beside a tracker's runs."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def register(self, bundle_uri: str, name: str, run_id: str, metrics: Mapping[str, float]) -> int:
        """A new version of `name` for the bundle, or the one it has already."""
        from mlflow.exceptions import MlflowException

        client = self._tracker.client
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        for known in client.search_model_versions(f"name = '{name}'"):
            if known.source == bundle_uri and (known.run_id or "") == run_id:
                return int(known.version)
        tags = {f"metric.{key}": f"{value:.6g}" for key, value in metrics.items()}
        return int(client.create_model_version(name, source=bundle_uri, run_id=run_id or None, tags=tags).version)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point the alias (for example "champion") at the version."""
        self._tracker.client.set_registered_model_alias(name, alias, str(version))

    def resolve(self, name: str, alias: str) -> str:
        """The bundle's path or URI.

        Raises:
            UserError: nothing has that name and alias.
        """
        from mlflow.exceptions import MlflowException

        try:
            found = self._tracker.client.get_model_version_by_alias(name, alias)
        except MlflowException as error:
            where = self._tracker.uri
            raise UserError(f"no model {name!r} with alias {alias!r} in {where}; run `seedbed promote` first") from error
        if not found.source:
            raise UserError(f"model {name!r} version {found.version} names no bundle; register it again with `seedbed promote`")
        return found.source
