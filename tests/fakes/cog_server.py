"""Cog's own server on loopback, over a project's folder, as Cog's image starts it."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import yaml

from fakes.served import PATIENCE_SECONDS, free_port

_SCHEMA = Path(__file__).with_name("cog_schema.py")
_AT_CAPACITY = 409


class CogServer:
    """A running server of Cog; ``packages`` are the folders of Cog and of what predictors import."""

    def __init__(self, folder: Path, packages: Sequence[Path]) -> None:
        config = yaml.safe_load((folder / "cog.yaml").read_text())
        file, _, class_name = config.get("predict", config.get("run")).partition(":")
        class_name = class_name or ("Runner" if "run" in config else "Predictor")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        stated = dict(item.split("=", 1) for item in config.get("environment", ()))
        # cog build writes these variables into its image.
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, packages)),
            "PORT": str(port),
            "COG_PREDICT_TYPE_STUB": f"{file}:{class_name}",
            "COG_MAX_CONCURRENCY": str(config.get("concurrency", {}).get("max", 1)),
            **stated,
        }
        self._log = (folder.parent / f"{folder.name}.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", _SCHEMA, environment["COG_PREDICT_TYPE_STUB"]],
            cwd=folder,
            env=environment,
            stdout=self._log,
            stderr=self._log,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)
        self._log.close()

    def wait_for(self, *states: str) -> str:
        """Wait until its health check names one of these states, and return it."""
        end = time.monotonic() + PATIENCE_SECONDS
        seen = None
        while time.monotonic() < end:
            with suppress(OSError):
                seen = self.health()["status"]
                if seen in states:
                    return str(seen)
            assert self.process.poll() is None, Path(self._log.name).read_text()[-3000:]
            time.sleep(0.01)
        raise AssertionError(f"waited in vain for {states}: {seen}")

    def health(self) -> Any:
        with urllib.request.urlopen(f"{self.url}/health-check", timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        """Send a request, and return status and body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json", **headers}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def predict(self, **values: Any) -> tuple[int, Any]:
        """Ask for a prediction, as soon as the last one has left its place."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            status, text = self.send("POST", "/predictions", {"input": values})
            if status != _AT_CAPACITY or time.monotonic() > end:
                return status, json.loads(text)
            time.sleep(0.005)
