"""Everything that touches the outside: settings, storage, the Ray session, MLflow, progress and logs."""
