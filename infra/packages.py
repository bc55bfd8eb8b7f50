"""The names that are ours: whose files decide results, and whose errors are written for people."""

PACKAGES: tuple[str, ...] = ("pipelines", "curation", "models", "train", "eval", "infra")
"""Our six top-level packages."""
