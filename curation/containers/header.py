"""The facts that every kind of picture file states, and the error for files that we do not read."""

from typing import Literal, NamedTuple, get_args

Kind = Literal["jpeg", "png", "webp", "gif", "bmp", "tiff", "avif"]
"""The closed set of picture formats that are read. SVG, EPS and PDF are programs rather than pictures and stay outside."""

KINDS: tuple[Kind, ...] = get_args(Kind)

Cause = Literal[
    "too_large",       # more pixels than are accepted
    "bomb",            # small in the file, far larger when it is unpacked
    "not_a_picture",   # nothing, text, or a format that is not read
    "truncated",       # the file ends before the picture does
    "damaged",         # checksums, markers or codes that make no sense
    "polyglot",        # also a valid file of another type: an archive, a document or a script
]  # fmt: skip
"""Closed list of why bytes are refused."""

Reason = Literal["unreadable", "too_large"]

Colour = Literal["grey", "rgb", "cmyk", "other"]
"""How colours are stored; "rgb" covers YCbCr, "other" palettes and formats where only the decoder knows."""

MAX_ICC_BYTES = 4 * 2**20
"""Larger colour profiles are refused; the largest in use, for printers, have about 2 MiB."""


class Undecodable(ValueError):
    """These bytes are not a picture that we read.

    Attributes:
        cause: what is wrong with them.
        detail: what was seen, for the person who looks into it.
    """

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause: Cause = cause
        self.detail = detail

    @property
    def reason(self) -> Reason:
        """The verdict reason, a name from `curation.tables.REASONS`."""
        return "too_large" if self.cause in ("too_large", "bomb") else "unreadable"

    def __reduce__(self) -> tuple[type["Undecodable"], tuple[Cause, str]]:
        return type(self), (self.cause, self.detail)  # two arguments: the default would unpickle with one


class Header(NamedTuple):
    """A picture file, described without decoding its pixels."""

    kind: Kind
    width_px: int
    """As the picture is to be shown, after `orientation` was applied."""
    height_px: int
    """As the picture is to be shown, after `orientation` was applied."""
    orientation: int
    """EXIF orientation, 1 to 8; 1 when the file names none, or one that does not exist."""
    colour: Colour
    icc: bytes
    """Colour profile, b"" when there is none."""
    trailing_bytes: int
    """Bytes after the end of the picture: maker notes and previews of cameras, for the most part."""

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height as the file stores them, before `orientation`."""
        return (self.height_px, self.width_px) if self.orientation >= 5 else (self.width_px, self.height_px)


def header_of(
    kind: Kind, size: tuple[int, int], *, orientation: int = 1, colour: Colour = "other", icc: bytes = b"",
    trailing_bytes: int = 0,
) -> Header:  # fmt: skip
    """A header from what the file stores.

    Args:
        size: stored width and height in pixels.
        orientation: as read; values outside 1 to 8 count as 1, which is what viewers do.
    """
    orientation = orientation if 1 <= orientation <= 8 else 1
    width, height = reversed(size) if orientation >= 5 else size
    return Header(kind, width, height, orientation, colour, icc, trailing_bytes)


def require_pixels(width_px: int, height_px: int, max_pixels: int) -> None:
    """Refuse a picture by its stated size.

    Raises:
        Undecodable: no pixel at all, or more than `max_pixels`.
    """
    if width_px <= 0 or height_px <= 0:
        raise Undecodable("damaged", f"{width_px} x {height_px} px")
    if width_px * height_px > max_pixels:
        pixels = f"{width_px * height_px} pixels, at most {max_pixels} are read"
        raise Undecodable("too_large", f"{width_px} x {height_px} px are {pixels}")
