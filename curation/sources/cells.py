"""From the cell of a table to a picture: bytes, a record of bytes and a path as Hugging Face writes it, or a URL."""

from collections.abc import Sequence

from curation.fetch import FetchConfig, Fetched, Fetcher
from curation.sources.protocol import MAX_PICTURE_BYTES, ReadFailure


def pictures_in(cells: Sequence[object], fetch: FetchConfig) -> list[bytes | ReadFailure]:
    """The picture in each cell, in order; URLs are fetched together."""
    urls = {index: cell for index, cell in enumerate(cells) if isinstance(cell, str)}
    fetched = dict(zip(urls, fetched_pictures(list(urls.values()), fetch), strict=True))
    return [fetched[index] if index in fetched else _stored(cell) for index, cell in enumerate(cells)]


def fetched_pictures(urls: Sequence[str], fetch: FetchConfig) -> list[bytes | ReadFailure]:
    """The picture behind each URL, in order."""
    if not urls:
        return []
    found = Fetcher(fetch).fetch_all(urls)
    return [one.content if isinstance(one, Fetched) else ReadFailure(one.detail, one.reason) for one in found]


def _stored(cell: object) -> bytes | ReadFailure:
    if isinstance(cell, dict):
        cell = cell.get("bytes")
    if cell is None:
        return ReadFailure("the cell is empty", "missing")
    if not isinstance(cell, bytes):
        return ReadFailure(f"the cell holds {type(cell).__name__}, expected bytes or a URL")
    if len(cell) > MAX_PICTURE_BYTES:
        return ReadFailure(f"{len(cell)} bytes, at most {MAX_PICTURE_BYTES} are read", "too_large")
    return cell
