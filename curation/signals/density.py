"""How many bytes a file spends on a pixel: little for its format means hard compression or an empty picture."""

VERSION = 1
"""Raised when the number changes."""


def bytes_per_pixel(num_bytes: int, width_px: int, height_px: int) -> float:
    """Bytes of the file without what follows the picture, by its stored pixels; compare within one format."""
    return num_bytes / (width_px * height_px)
