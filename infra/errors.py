"""Errors that a person can do something about.

The command line prints such an error as one line and exits with 2; anything else is a defect of ours and keeps its traceback.
"""


class UserError(ValueError):
    """Something the user gave or owns is wrong. The message is one line: what was seen, what was expected, what to do."""
