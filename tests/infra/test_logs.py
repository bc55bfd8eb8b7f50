import io
import logging

from rich.console import Console

from infra.logs import EventFormatter, context, setup


def test_an_event_carries_its_values_and_its_context():
    record = logging.makeLogRecord({"msg": "committed", "levelno": logging.INFO, "rows": 12, "_ray_timestamp_ns": 1})
    with context(job="ingest", run="1f0c"):
        line = EventFormatter().format(record)
    assert line.endswith("committed rows=12 job=ingest run=1f0c")
    assert EventFormatter().format(record).endswith("committed rows=12")


def test_setting_up_twice_does_not_print_twice():
    before = list(logging.getLogger().handlers), logging.getLogger().level
    out = io.StringIO()
    try:
        setup(Console(file=out, width=200))
        setup(Console(file=out, width=200))
        logging.getLogger("curation.commit").info("committed", extra={"rows": 3})
    finally:
        logging.getLogger().handlers[:], level = before
        logging.getLogger().setLevel(level)
    assert out.getvalue().count("committed rows=3") == 1
