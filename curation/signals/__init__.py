"""Batch functions from decoded pictures to measured columns. No Ray, MLflow or Lance here."""
