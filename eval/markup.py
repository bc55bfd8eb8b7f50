"""HTML built from elements, so that text is escaped unless it says that it is markup."""

from collections.abc import Iterable
from html import escape


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str) -> Markup:
    """An element; plain strings among the children are escaped.

    Args:
        attributes: a trailing underscore is dropped (`class_`), the others become hyphens; empty ones are left out.
    """
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value}
    opening = "".join(f' {key}="{escape(value, quote=True)}"' for key, value in named.items())
    if name in ("img", "meta", "link"):
        return Markup(f"<{name}{opening}>")
    return Markup(f"<{name}{opening}>{joined(children)}</{name}>")


def joined(parts: Iterable[str]) -> Markup:
    """Elements and texts one after the other."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))
