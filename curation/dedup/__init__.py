"""Duplicates: pairs of close hashes, cells of close features, and the rule that joins both into clusters."""
