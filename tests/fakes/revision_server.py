"""A small server that stands for a revision of a kit; runs alone in a container: REVISION in env.

POST answers with the revision's name and the number of received bytes, GET with the headers. GET
/stream?N sends N events, /held one event and more after /go, /gone waits until its caller has gone
and then does as /go, /close closes the connection, /crash too, but without an answer. It stops at
SIGINT and SIGTERM.
"""

import json
import os
import signal
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = os.environ.get("REVISION", "")
go = threading.Event()
crashes: list[object] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        match path:
            case "/stream":
                self._stream(int(query))
            case "/held":
                self._held()
            case "/go":
                go.set()
                self._answer({"revision": NAME})
            case "/gone":
                self._until_gone()
            case "/crash":
                crashes.append(self.headers)
                self.close_connection = True
            case "/crashes":
                self._answer({"revision": NAME, "crashes": len(crashes)})
            case _:
                self.close_connection |= path == "/close"
                self._answer({"revision": NAME, "headers": dict(self.headers.items())})

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            size = 0
            while part := int(self.rfile.readline(), 16):
                size += len(self.rfile.read(part))
                self.rfile.readline()
            self.rfile.readline()
        else:
            left = int(self.headers.get("Content-Length", 0))
            size = left
            while left:
                left -= len(self.rfile.read1(min(left, 65536)))
        self._answer({"revision": NAME, "bytes": size})

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _held(self) -> None:
        go.clear()
        self._begin_stream()
        self._chunk(f"data: {NAME}\n\n".encode())
        go.wait()
        self._chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _stream(self, count: int) -> None:
        """Send one event at once, and the others a moment apart; all of them with the name."""
        self._begin_stream()
        pause = threading.Event()
        for number in range(count):
            self._chunk(f"data: {NAME} {number}\n\n".encode())
            pause.wait(0.02)
        self._chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _until_gone(self) -> None:
        """Wait until the caller has closed its connection; /go tells it."""
        with suppress(ConnectionResetError):
            self.connection.recv(1)
        go.set()
        self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True  # idle connections do not keep it from ending
    request_queue_size = 512
    address_family = socket.AF_INET6

    def handle_error(self, *_: object) -> None:
        """Say nothing about callers that have gone."""


def main() -> None:
    server = Server(("::", int(os.environ.get("MEALKIT_PORT", "8000"))), Handler)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    stop.wait()
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()
