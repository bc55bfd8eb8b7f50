"""What bytes are, told from themselves: names and content types that came along with them are not trusted.

`kind_of` names one of the formats that are read; `foreign_kind` names what else it may be, for a message that helps;
`refuse_polyglot` finds pictures that are a valid archive, document or script as well. Scanners that look for signatures anywhere
in a file were rejected: compressed data holds any four bytes by chance, so structures are checked, not signatures alone.
"""

import re

from curation.containers.header import Kind, Undecodable

_ISO_BRANDS_OF_AVIF = (b"avif", b"avis")

_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "a PDF document"), (b"PK\x03\x04", "a ZIP archive"), (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "gzip data"), (b"BZh", "bzip2 data"), (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"), (b"Rar!", "a RAR archive"),
    (b"\xfd7zXZ\x00", "xz data"), (b"\x28\xb5\x2f\xfd", "zstandard data"), (b"MZ", "a Windows program"),
    (b"\x7fELF", "a Linux program"), (b"%!PS", "PostScript"), (b"\xc5\xd0\xd3\xc6", "EPS"), (b"8BPS", "a Photoshop file"),
    (b"\x00\x00\x01\x00", "an icon (ICO)"), (b"\xff\x0a", "JPEG XL"), (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"), (b"OggS", "Ogg media"), (b"\x1a\x45\xdf\xa3", "Matroska or WebM video"),
    (b"ID3", "MP3 audio"), (b"RIFF", "a RIFF file (WAV or AVI)"),
)  # fmt: skip

_MARKUP = re.compile(
    rb"\A[\s\x00]*(?:\xef\xbb\xbf)?\s*<(\?xml|!doctype|html|head|body|script|svg|!--|meta|rss|error|\?php)", re.I
)
_ACTIVE = re.compile(rb"<script|<\?php|<html|<svg|<!doctype|<iframe|%PDF-|%!PS-", re.I)
_TEXT = re.compile(rb"[\t\n\r\x20-\x7e]*\Z")
_MIN_TEXT_BYTES = 12
_PDF_READERS_LOOK_AT_BYTES = 1024
_ZIP_END = 22
_ZIP_READERS_LOOK_AT_BYTES = _ZIP_END + 0xFFFF


def kind_of(encoded: bytes) -> Kind | None:
    """The format by its signature, None for anything else."""
    if encoded[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if encoded[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "webp"
    if encoded[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if encoded[:2] == b"BM" and encoded[6:10] == bytes(4):  # two reserved words that must be 0
        return "bmp"
    if encoded[:4] in (b"II*\x00", b"MM\x00*"):
        return "tiff"
    return "avif" if _is_avif(encoded) else None


def foreign_kind(encoded: bytes) -> str:
    """What bytes that are no picture look like, in words."""
    if not encoded:
        return "nothing (0 bytes)"
    if _MARKUP.match(encoded[:512]):
        return "SVG" if b"<svg" in encoded[:4096].lower() else "HTML or XML"
    for signature, name in _FOREIGN:
        if encoded.startswith(signature):
            return name
    if encoded[4:8] == b"ftyp":
        return f"an ISO media file of brand {encoded[8:12].decode('latin-1')!r}"
    if not encoded[:512].strip(b"\x00"):
        return "zeros"
    return "text" if _TEXT.match(encoded[:512]) else f"unknown data beginning with {encoded[:8].hex(' ')}"


def refuse_polyglot(encoded: bytes, *, end: int) -> None:
    """Refuse a picture that is something else, too.

    Args:
        end: where the picture ends; bytes behind it may be a camera's, but neither text nor a program.

    Raises:
        Undecodable: an archive, a document or a script is there as well.
    """
    if b"%PDF-" in encoded[:_PDF_READERS_LOOK_AT_BYTES]:
        raise Undecodable("polyglot", "a PDF document begins inside the picture")
    if _holds_zip(encoded):
        raise Undecodable("polyglot", "a ZIP archive ends where the picture does")
    if len(encoded) > end:
        _refuse_trailer(encoded[end:])


def _refuse_trailer(trailer: bytes) -> None:
    content = trailer.strip(b"\x00 \t\r\n")
    if found := _ACTIVE.search(content):
        raise Undecodable("polyglot", f"{found.group().decode()!r} after the end of the picture")
    if content.startswith((b"MZ", b"\x7fELF", b"Rar!", b"7z\xbc\xaf\x27\x1c", b"PK\x03\x04")):
        raise Undecodable("polyglot", f"{foreign_kind(content)} after the end of the picture")
    if len(content) >= _MIN_TEXT_BYTES and _TEXT.match(content):
        raise Undecodable("polyglot", f"{len(content)} bytes of text after the end of the picture")


def _holds_zip(encoded: bytes) -> bool:
    """Whether the end record of a ZIP archive and the directory that it points to are there."""
    window = max(0, len(encoded) - _ZIP_READERS_LOOK_AT_BYTES)
    at = encoded.rfind(b"PK\x05\x06", window)
    if at < 0 or at + _ZIP_END > len(encoded):
        return False
    directory_bytes = int.from_bytes(encoded[at + 12 : at + 16], "little")
    begins = at - directory_bytes
    return begins >= 0 and (directory_bytes == 0 or encoded[begins : begins + 4] == b"PK\x01\x02")


def _is_avif(encoded: bytes) -> bool:
    if encoded[4:8] != b"ftyp":
        return False
    box = encoded[8 : min(int.from_bytes(encoded[:4], "big"), 256)]
    brands = [box[:4], *(box[start : start + 4] for start in range(8, len(box), 4))]
    return any(brand in _ISO_BRANDS_OF_AVIF for brand in brands)
