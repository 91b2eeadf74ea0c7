"""Callers that send requests all the time, and note each that was not answered as it must be.

Some keep their connection, some open a new one for each request, some read streams.
"""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

_SECONDS = 60
_EVENTS = 25
# The callers share their processors with the servers.
_PAUSE_SECONDS = 0.005


@dataclass
class Load:
    """What callers saw so far: answers by revision, streams by revision, and failures."""

    address: str
    port: int
    answered: Counter[str] = field(default_factory=Counter)
    streamed: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    reconnected: int = 0
    """How often the connection of a caller that keeps it was closed between two requests."""
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self, *, keeping: int = 3, opening: int = 2, streaming: int = 3) -> Iterator[None]:
        """Send requests during the block."""
        kinds: list[tuple[int, Callable[[], None]]] = [
            (keeping, self._keep),
            (opening, self._open),
            (streaming, self._read_streams),
        ]
        threads = [
            threading.Thread(target=kind, daemon=True)
            for count, kind in kinds
            for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(_SECONDS)
            assert not any(thread.is_alive() for thread in threads), "a caller was never answered"

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, self.port, timeout=_SECONDS)

    def _keep(self) -> None:
        connection = self._connection()
        with closing(connection):
            while not self._stop.is_set():
                self._ask(connection)
                if connection.sock is None:  # the answer said Connection: close
                    self.reconnected += 1

    def _open(self) -> None:
        while not self._stop.is_set():
            with closing(self._connection()) as connection:
                self._ask(connection)

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        self._stop.wait(_PAUSE_SECONDS)
        body = b"x" * 2000
        try:
            connection.request("POST", "/v1/embeddings", body)
            answer = connection.getresponse()
            form = json.loads(answer.read())
            if answer.status != 200 or form["bytes"] != len(body):
                self.failed.append(f"{answer.status} {form}")
            else:
                self.answered[form["revision"]] += 1
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.failed.append(f"{type(error).__name__}: {error}")
            connection.close()

    def _read_streams(self) -> None:
        while not self._stop.is_set():
            with closing(self._connection()) as connection:
                try:
                    connection.request("GET", f"/stream?{_EVENTS}")
                    answer = connection.getresponse()
                    text = answer.read().decode()
                except (OSError, http.client.HTTPException) as error:
                    self.failed.append(f"stream: {type(error).__name__}: {error}")
                    continue
            events = text.split("\n\n")[:-2]
            names = {event.split()[1] for event in events}
            if (
                not text.endswith("\n\ndata: [DONE]\n\n")
                or len(events) != _EVENTS
                or len(names) != 1
            ):
                self.failed.append(f"stream: {answer.status} {text[-200:]}")
            else:
                self.streamed[names.pop()] += 1
