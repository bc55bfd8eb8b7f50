"""The frame that every page has: one HTML file with its styles inside, a title, numbers at the top, named sections.

No script, and no request to anywhere.
"""

from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from eval.markup import Markup, joined, tag
from eval.report import Tile


class Section(NamedTuple):
    """One part of a page."""

    anchor: str
    title: str
    body: Markup


class Document(NamedTuple):
    """A page."""

    title: str
    lead: str
    """A sentence below the title."""
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    """Those without a body are left out."""
    notes: tuple[str, ...]
    """Paragraphs at the end."""


def html(document: Document, *, style: str = "") -> str:
    """The whole page.

    Args:
        style: rules of its own, after those that all pages share.
    """
    shared = files("eval").joinpath("page.css").read_text(encoding="utf-8")
    sections = [section for section in document.sections if section.body]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", document.title),
        tag("link", rel="icon", href="data:,"),  # else browsers ask for one
        tag("style", Markup(shared + style)),
    )
    tiles = tag("div", *map(_tile, document.tiles), class_="tiles")
    body = tag(
        "body",
        tag("header", tag("h1", document.title), tag("p", document.lead, class_="lead"), tiles),
        tag("nav", tag("div", *(tag("a", each.title, href=f"#{each.anchor}") for each in sections))),
        tag("main", *(tag("section", tag("h2", each.title), each.body, id=each.anchor) for each in sections)),
        tag("footer", *(tag("p", note) for note in document.notes)) if document.notes else Markup(),
    )
    return f"<!doctype html>{tag('html', head, body, lang='en')}\n"


def write(page: str, path: Path) -> None:
    """Write a page, beside its place first: a file that exists is whole."""
    beside = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(page, encoding="utf-8")
    beside.replace(path)


def table(heads: Iterable[Markup], rows: Iterable[Markup]) -> Markup:
    """A table in a card, which scrolls sideways where it is too wide."""
    return tag("div", tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows)), class_="card scroll")


def keys(entries: Iterable[tuple[str, str]]) -> Markup:
    """A legend: names and the colours that stand for them."""
    return tag("div", *(tag("span", name, class_="key", style=f"--c:{colour}") for name, colour in entries), class_="legend")


def stack(parts: Sequence[tuple[str, float]]) -> Markup:
    """A bar of parts: style-sheet classes and their shares in [0, 1]."""
    pieces = (tag("i", class_=name, style=f"width:{100 * share:.2f}%") for name, share in parts if share > 0)
    return tag("div", *pieces, class_="stack")


def about(text: str, *parts: Markup) -> Markup:
    """What a section shows, in words, and then the section."""
    return joined([tag("p", text), *parts])


def _tile(tile: Tile) -> Markup:
    parts = (tag("div", text, class_=name) for text, name in ((tile.label, "label"), (tile.value, "value"), (tile.note, "note")))
    return tag("div", *parts, class_=f"card tile {tile.state}")
