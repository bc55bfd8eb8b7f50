"""Texts made to teach the text-quality classifier, and the fit that stores its weights."""
