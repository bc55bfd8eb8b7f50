"""Log lines as events: a name and its values, with job, run and rank added once.

``logger.info("committed", extra={"rows": 12})`` prints ``committed rows=12 job=ingest run=1f0c``. Plain text was chosen over JSON
lines: people read them in the terminal, and metrics have the tracker.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_QUIETED = (
    "ray", "ray.data", "ray.train", "ray.serve", "mlflow", "alembic", "lance", "lance_ray", "urllib3", "httpx", "matplotlib",
    "PIL", "filelock",
)
_SILENCED = (
    # without a dashboard, ray 2.60 warns every few seconds that it cannot ask it about the trainer; nothing depends on the answer
    "ray.train.v2._internal.execution.controller.placement_group_cleaner",
)

_context: ContextVar[dict[str, str]] = ContextVar("seedbed_log_context", default={})  # noqa: B039 (never mutated, see `context`)


@contextmanager
def context(**values: str) -> Iterator[None]:
    """Add the values to every line logged inside."""
    token = _context.set({**_context.get(), **values})
    try:
        yield
    finally:
        _context.reset(token)


class EventFormatter(logging.Formatter):
    """Level, event, then the record's own values and the context as ``key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; an exception's traceback follows it."""
        own = {key: value for key, value in vars(record).items() if key not in _STANDARD and key[0] != "_"}
        pairs = " ".join(f"{key}={value}" for key, value in {**own, **_context.get()}.items())
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        line = f"{self.formatTime(record, '%H:%M:%S')} {level}{record.getMessage()} {pairs}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class ConsoleHandler(logging.Handler):
    """Writes through a rich console, so that lines and live bars do not tear each other."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print the formatted line without markup."""
        style = "dim" if record.levelno <= logging.INFO else "yellow"
        self._console.print(self.format(record), style=style, markup=False, highlight=False)


def setup(console: Console | None = None, *, level: int = logging.INFO) -> None:
    """Send our events to the console (stderr when None) and quiet the libraries below warnings. May be called again."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler.formatter, EventFormatter)]:
        root.removeHandler(handler)
    handler = ConsoleHandler(console) if console is not None else logging.StreamHandler()
    handler.setFormatter(EventFormatter())
    root.addHandler(handler)
    root.setLevel(level)
    for name in _QUIETED:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _SILENCED:
        logging.getLogger(name).setLevel(logging.CRITICAL)
