"""A server on loopback that answers every request in one way of its own, right or wrong."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Odd(BaseHTTPRequestHandler):
    """Answers ranges in a way of its own: status, headers, body."""

    answer: tuple[int, dict[str, str], bytes]

    def do_GET(self) -> None:
        status, headers, body = self.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Quiet(ThreadingHTTPServer):
    """Says nothing of clients that leave in the middle."""

    def handle_error(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def odd_server(status: int, headers: dict[str, str], body: bytes) -> Iterator[str]:
    handler = type("Handler", (Odd,), {"answer": (status, headers, body)})
    with Quiet(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/weights"
        finally:
            server.shutdown()
            thread.join()
