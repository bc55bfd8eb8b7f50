"""Scenarios as data: what the corpus should hold, which leaf a picture belongs to, and how many of each to take.

The leaves themselves are YAML in `curation/taxonomies/`; measuring how well pictures fit them is
`curation.signals.taxonomy`'s, and what is here only reads: leaves and their checks (`leaves`, `loading`), keywords in captions
(`keywords`), the leaf of a row from its stored scores (`assignment`) and counts per leaf (`quotas`).
"""
