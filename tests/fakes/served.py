"""The example kit, what callers of a running kit see of it, and a registry on loopback."""

import base64
import json
import math
import os
import shutil
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, Self

import pytest

from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import BuildReport
from mealkit.stores.local import LocalStore

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "kits" / "sbert-minilm"
GOLDEN = ROOT / "tests" / "engines" / "onnx" / "golden.json"
PATIENCE_SECONDS = 120.0

# What the publisher and many public projects state for the example's weights.
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True, slots=True)
class Demo:
    """A copy of the example kit, and the home that it was built into."""

    kit: Path
    home: Home
    report: BuildReport

    @property
    def image(self) -> Image:
        return LocalStore(self.home.store).image(str(self.report.digest))


def copy_of_demo(target: Path) -> Path:
    shutil.copytree(DEMO, target)
    return target


def published(container: Any, port: int = 8000) -> str:
    """The address that an engine published a container's port at."""
    bindings = container.attrs["NetworkSettings"]["Ports"][f"{port}/tcp"]
    return f"http://127.0.0.1:{bindings[0]['HostPort']}"


def wait_ready(url: str, ended: Callable[[], str | None] = lambda: None) -> None:
    """Wait until a kit is ready, or fail with what it ended with."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    last = "no answer"
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/v1/health/ready", timeout=5):
                return
        except urllib.error.HTTPError as error:
            last = error.read().decode()
            error.close()
        except OSError as error:
            last = str(error)
        why = ended()
        assert why is None, why
        time.sleep(0.05)
    raise AssertionError(f"not ready: {last}")


def ended_of(container: Any) -> Callable[[], str | None]:
    def look() -> str | None:
        container.reload()
        if container.attrs["State"]["Running"]:
            return None
        return f"{container.attrs['State']}\n{container.logs().decode()}"

    return look


def get(url: str) -> tuple[Any, Message]:
    with urllib.request.urlopen(url, timeout=30) as answer:
        data = answer.read()
        kind = answer.headers["Content-Type"]
        return (json.loads(data) if "json" in kind else data.decode()), answer.headers


def embed(url: str, texts: list[str]) -> tuple[list[list[float]], Message]:
    body = json.dumps({"model": "all-MiniLM-L6-v2", "input": texts}).encode()
    request = urllib.request.Request(
        f"{url}/v1/embeddings", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        form = json.load(answer)
        return [item["embedding"] for item in form["data"]], answer.headers


def golden() -> list[tuple[str, list[float]]]:
    """Texts and the vectors that torch gives for them."""
    cases = json.loads(GOLDEN.read_text())["cases"]
    found = []
    for case in cases:
        data = base64.b64decode(case["vector"])
        found.append((case["text"], list(struct.unpack(f"<{len(data) // 4}f", data))))
    return found


def cosine(one: list[float], other: list[float]) -> float:
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


def assert_serves(url: str) -> Message:
    """A kit at an address gives the vectors that torch gives; return the answer's headers."""
    cases = golden()
    vectors, headers = embed(url, [text for text, _ in cases])
    for (text, expected), vector in zip(cases, vectors, strict=True):
        assert cosine(vector, expected) >= 0.99999, text
    return headers


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def need(program: str) -> str:
    """Return a program's path; skip the test where it is not installed."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def settled(log: Path) -> str:
    """An access log that has not grown for a while: a server writes a line after it has answered."""
    text, deadline = log.read_text(), time.monotonic() + 10
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if (now := log.read_text()) == text:
            break
        text = now
    return text


class Registry:
    """The docker-registry program on loopback, over an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"localhost:{free_port()}"

    def __enter__(self) -> Self:
        program = need("docker-registry")
        self.folder.mkdir(parents=True)
        config = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}},
            "http": {"addr": self.host},
        }
        (self.folder / "config.yml").write_text(json.dumps(config))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, "serve", str(self.folder / "config.yml")],
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
            )
        deadline = time.monotonic() + 30
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"http://{self.host}/v2/", timeout=5).close()
                return self
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def requests(self, method: str) -> list[str]:
        """The paths of the requests so far of a method, from the access log."""
        lines = settled(self.folder / "log").splitlines()
        return [line.split('"')[1].split()[1] for line in lines if f'"{method} ' in line]
