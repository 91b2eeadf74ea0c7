"""A registry of its own for each push: started on loopback, its requests counted, then deleted."""

import re
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measured import CannotMeasureError

_START_SECONDS = 20.0
_ACCESS = re.compile(r'"([A-Z]+) /v2/\S* HTTP')
_SENT = re.compile(r'"GET /v2/\S+ HTTP/1.1" 20\d (\d+)')

_PROXY = """\
proxy: {{remoteurl: "http://{address}"}}
"""

_CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: false}}}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry."""

    address: str
    log: Path

    def requests(self) -> Counter[str]:
        """Count the requests so far, by method."""
        return Counter(_ACCESS.findall(self.log.read_text(errors="replace")))

    def sent_bytes(self) -> int:
        """Return how many bytes of manifests and blobs left it so far."""
        return sum(map(int, _SENT.findall(self.log.read_text(errors="replace"))))


@contextmanager
def registry(folder: Path, of: Registry | None = None) -> Iterator[Registry]:
    """Run an empty docker-registry; ``of`` is the registry that it is a pull-through cache of.

    Raises:
        CannotMeasureError: it is not installed, or does not start.
    """
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        raise CannotMeasureError("docker-registry is not installed")
    folder.mkdir(parents=True)
    port = free_port()
    config = folder / "config.yml"
    text = _CONFIG.format(root=folder / "data", port=port)
    config.write_text(text + (_PROXY.format(address=of.address) if of else ""))
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([program, "serve", config], stdout=out, stderr=out)
    try:
        _wait(process, port)
        yield Registry(f"127.0.0.1:{port}", log)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise CannotMeasureError("docker-registry does not start")
