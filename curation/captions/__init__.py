"""Captions written from structured facts: three levels of detail, in English and Chinese."""
