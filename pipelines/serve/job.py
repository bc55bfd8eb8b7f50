"""The ``serve`` command: the server for as long as nobody interrupts it."""

import signal
import threading

from infra.session import Session
from pipelines.serve.app import ServeConfig, start, stop


def run(config: ServeConfig, session: Session) -> None:
    """Serves until interrupted or told to terminate; nothing is recorded, so there is no outcome."""
    url = start(config, session)
    signal.signal(signal.SIGTERM, signal.default_int_handler)    # what container runtimes send; Ray's own handler dumps its stack
    session.progress.say(f"serving at {url} (page {url}/, health {url}/healthz; Ctrl-C ends it)")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        session.progress.say("stopping")
    finally:
        stop()
