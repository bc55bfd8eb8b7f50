"""Errors that a person can do something about, and errors in one line.

The command line prints such an error as one line and exits with 2; anything else is a defect of ours and keeps its traceback.
"""

from infra.packages import PACKAGES


class UserError(ValueError):
    """Something the user gave or owns is wrong. The message is one line: what was seen, what was expected, what to do."""


def is_ours(error: BaseException) -> bool:
    """Whether a person can do something about it: a ValueError of a class that one of our packages defines."""
    return isinstance(error, ValueError) and type(error).__module__.partition(".")[0] in PACKAGES


def one_line(error: BaseException, *, max_characters: int | None = None) -> str:
    """What an error says, its type where it says nothing."""
    return " ".join(str(error).split())[:max_characters] or type(error).__name__


def one_line_with_type(error: BaseException, *, max_characters: int | None = None) -> str:
    """An error's type and what it says: for errors of others, whose messages alone may be a bare word."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")[:max_characters]
