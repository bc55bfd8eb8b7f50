"""What is kept of a picture so that its bytes can be looked for after they are gone, and the search for them.

A picture's own bytes must not be kept to prove that they are gone. So of each picture its size, its SHA-256 and that of some
pieces of it are kept, with the first eight bytes of each piece to find candidates by: places where those eight stand are cut
out and hashed. A file holds a picture when it holds all pieces, at any place, or when it is the picture itself. Chosen over
hashing at every offset, which costs a hash a byte; and over asking the table, which does not see what it no longer names.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, UInt64
from pyarrow import fs
from pydantic import BaseModel

from infra.storage import filesystem_of

ANCHOR_BYTES = 8
"""Bytes of a piece that are kept as they are."""

PIECE_BYTES = 256
"""Bytes of a piece, fewer in a picture that has no more."""

BLOCK_BYTES = 4 << 20
"""Bytes of a file that are looked at together."""

K = TypeVar("K")
V = TypeVar("V")

_PLACES = (0.25, 0.5, 0.75, 1.0)
"""Where pieces begin, as a share of where the last one begins: behind the header, through to the end."""


class Piece(BaseModel, frozen=True, extra="forbid"):
    """A stretch of a picture, told by its digest."""

    anchor: str
    """Its first `ANCHOR_BYTES`, in hexadecimal."""
    num_bytes: int
    sha256: str


class Trace(BaseModel, frozen=True, extra="forbid"):
    """One picture, told by its digests."""

    id: str
    """Of the row."""
    num_bytes: int
    sha256: str
    pieces: tuple[Piece, ...]
    """None for a picture of fewer than `ANCHOR_BYTES`, which is found as a file alone."""


class Hit(BaseModel, frozen=True, extra="forbid"):
    """A picture and a file that holds it."""

    id: str
    file: str
    """Path below the place that was searched."""


class Search(BaseModel, frozen=True, extra="forbid"):
    """What was searched and what was found."""

    place: str
    num_files: int
    num_bytes: int
    files_sha256: str
    """Over the sorted lines "<path> <bytes> <SHA-256>" of all files."""
    hits: tuple[Hit, ...]


class _Piece(NamedTuple):
    trace: int
    piece: int
    num_bytes: int
    sha256: str


class _Scanned(NamedTuple):
    num_bytes: int
    sha256: str
    pieces: set[tuple[int, int]]


def trace_of(row_id: str, encoded: bytes) -> Trace:
    """What is kept of a picture."""
    length = min(PIECE_BYTES, len(encoded))
    starts = sorted({round(share * (len(encoded) - length)) for share in _PLACES}) if length >= ANCHOR_BYTES else []
    cut = [encoded[start : start + length] for start in starts]
    pieces = tuple(Piece(anchor=one[:ANCHOR_BYTES].hex(), num_bytes=length, sha256=_sha256(one)) for one in cut)
    return Trace(id=row_id, num_bytes=len(encoded), sha256=_sha256(encoded), pieces=pieces)


def search(place: str, traces: Sequence[Trace]) -> Search:
    """Look into every file below a folder (path or URI) for the pictures."""
    finder, files = _Finder(traces), sorted(files_below(place).items())
    lines, hits, total = [], [], 0
    for name, uri in files:
        scanned = finder.scan(uri)
        if scanned is None:
            continue                                    # a temporary file of somebody else that went away meanwhile
        total += scanned.num_bytes
        lines.append(f"{name} {scanned.num_bytes} {scanned.sha256}")
        hits += [Hit(id=row_id, file=name) for row_id in finder.found(scanned)]
    digest = _sha256("\n".join(lines).encode())
    return Search(place=place, num_files=len(lines), num_bytes=total, files_sha256=digest, hits=tuple(hits))


def files_below(place: str) -> dict[str, tuple[fs.FileSystem, str]]:
    """All files below a folder, by their path in it; none when there is no such folder."""
    system, root = filesystem_of(place)
    found = system.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    prefix = root.rstrip("/") + "/"
    return {one.path.removeprefix(prefix): (system, one.path) for one in found if one.type is fs.FileType.File}


class _Finder:
    """Looks for many pictures in one pass over a file."""

    def __init__(self, traces: Sequence[Trace]) -> None:
        self._traces = traces
        self._whole: Mapping[str, list[int]] = _grouped((one.sha256, index) for index, one in enumerate(traces))
        self._pieces = _grouped(
            (int.from_bytes(bytes.fromhex(piece.anchor), "little"), _Piece(index, number, piece.num_bytes, piece.sha256))
            for index, one in enumerate(traces)
            for number, piece in enumerate(one.pieces)
        )
        self._anchors = np.array(sorted(self._pieces), dtype=np.uint64)
        self._is_low_half: Bool[np.ndarray, 65536] = np.zeros(1 << 16, dtype=bool)
        self._is_low_half[(self._anchors & np.uint64(0xFFFF)).astype(np.int64)] = True

    def scan(self, file: tuple[fs.FileSystem, str]) -> _Scanned | None:
        """Size, digest and pieces of a file; None when it is gone."""
        system, path = file
        digest, total, carried, pieces = hashlib.sha256(), 0, b"", set[tuple[int, int]]()
        try:
            with system.open_input_stream(path) as stream:
                while fresh := stream.read(BLOCK_BYTES):
                    digest.update(fresh)
                    total += len(fresh)
                    block = carried + fresh
                    pieces |= self._pieces_in(block)
                    carried = block[-(PIECE_BYTES - 1) :]
        except FileNotFoundError:
            return None
        return _Scanned(total, digest.hexdigest(), pieces)

    def found(self, scanned: _Scanned) -> list[str]:
        """Ids of the pictures that a file holds or is."""
        count: dict[int, int] = {}
        for index, _ in scanned.pieces:
            count[index] = count.get(index, 0) + 1
        whole = {index for index, number in count.items() if number == len(self._traces[index].pieces)}
        return [self._traces[index].id for index in sorted(whole | set(self._whole.get(scanned.sha256, [])))]

    def _pieces_in(self, block: bytes) -> set[tuple[int, int]]:
        found = set()
        for position in self._candidates(block):
            anchor = int.from_bytes(block[position : position + ANCHOR_BYTES], "little")
            for piece in self._pieces[anchor]:
                cut = block[position : position + piece.num_bytes]
                if len(cut) == piece.num_bytes and _sha256(cut) == piece.sha256:
                    found.add((piece.trace, piece.piece))
        return found

    def _candidates(self, block: bytes) -> Iterator[int]:
        """Places where an anchor stands."""
        for shift in range(ANCHOR_BYTES):
            num_words = (len(block) - shift) // ANCHOR_BYTES
            if num_words <= 0 or not len(self._anchors):
                return
            words: UInt64[np.ndarray, " w"] = np.frombuffer(block, "<u8", count=num_words, offset=shift)
            likely = np.flatnonzero(self._is_low_half[(words & np.uint64(0xFFFF)).astype(np.int64)])
            exact = likely[np.isin(words[likely], self._anchors)]
            yield from (exact * ANCHOR_BYTES + shift).tolist()


def _grouped(pairs: Iterator[tuple[K, V]]) -> dict[K, list[V]]:
    grouped: dict[K, list[V]] = {}
    for key, value in pairs:
        grouped.setdefault(key, []).append(value)
    return grouped


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
