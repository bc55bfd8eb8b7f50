"""A server of a folder on this machine. Run as ``python -m pipelines.bench.server FOLDER``; prints its address.

The standard library's own, but with room for as many waiting connections as the clients have threads: with its five places a
client without retries is turned away by the server's doing.
"""

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


class _Server(ThreadingHTTPServer):
    request_queue_size = 512


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  named by the standard library
        """Nothing: a line a request would cost more than the answer."""


if __name__ == "__main__":
    with _Server(("127.0.0.1", 0), partial(_Quiet, directory=sys.argv[1])) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
